#include "event.h"

const char *action_word(enum action action)
{
	static const char *const words[ACTION_COUNT] = {
		[ACTION_ESCROW] = "escrow",	  [ACTION_CONFIRM] = "confirm",
		[ACTION_RETRIEVE] = "retrieve",	  [ACTION_REMOVE] = "remove",
		[ACTION_UNDO] = "undo",		  [ACTION_REFUSE] = "refuse",
		[ACTION_FACTS] = "facts",	  [ACTION_ENROL] = "enrol",
		[ACTION_CHECK_OUT] = "check out", [ACTION_IDENTITY] = "identity",
		[ACTION_POLICY] = "policy",	  [ACTION_MODE] = "mode",
		[ACTION_DEVICE] = "device",	  [ACTION_REKEY] = "rekey",
		[ACTION_IMPORT] = "import",	  [ACTION_EXPORT] = "export",
		[ACTION_PURGE] = "purge",	  [ACTION_MOUNT] = "mount",
		[ACTION_UNMOUNT] = "unmount",	  [ACTION_INIT] = "init",
	};
	return words[action];
}
