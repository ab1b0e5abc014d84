# bash completion for escrowfs(8).
# shellcheck shell=bash disable=SC2207 # words without blanks

_escrowfs_options() { # COMMAND: what its --help lists
	"${COMP_WORDS[0]}" "$1" --help 2>/dev/null | grep -oE '(^| )--[a-z-]+' | tr -d ' ' | sort -u
}

_escrowfs() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-}
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		COMPREPLY=($(compgen -W "init mount connect import export history restore accept rekey purge verify
			status --help --version" -- "$word"))
		return
	fi
	case $before in
	-o)
		COMPREPLY=($(compgen -W "key= passphrase-file= sealed ro threads= recipients= identity=strict
			max-retrievals= allow_other setuid=" -- "$word"))
		case ${COMPREPLY[*]} in *=) compopt -o nospace ;; esac
		return
		;;
	--to)
		COMPREPLY=($(compgen -W 'messages csv tree' -- "$word"))
		return
		;;
	--before | --since | --retire) return ;;
	esac
	case $word in
	-*) COMPREPLY=($(compgen -W "$(_escrowfs_options "$command") --help" -- "$word")) ;;
	*)
		COMPREPLY=($(compgen -f -- "$word"))
		compopt -o filenames
		;;
	esac
}

complete -F _escrowfs escrowfs
