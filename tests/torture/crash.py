"""Crashes under load: kill -9 at any moment and at every fault point; the power goes out."""

import os
import plistlib
import re
import subprocess
import time

from disk import Disk
from world import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "src")
BUSY = ["EAGAIN"]  # a token that others never stopped changing
DEADLY = 90  # seconds, in which a point must be reached; a second or so is usual


def points():
    """Their names, as the source has them."""
    found = []
    for directory, _, names in os.walk(SOURCES):
        for name in names:
            if name.endswith(".c"):
                with open(os.path.join(directory, name), encoding="utf-8") as file:
                    found += re.findall(r'fault_point\("([a-z-]+)"\)', file.read())
    assert found and len(set(found)) == len(found), found
    return sorted(found)


class Crashes:
    def __init__(self, make_world, counts, dice, log):
        self.make_world, self.counts, self.dice, self.log = make_world, counts, dice, log
        self.world = None
        self.certificates = 0

    def fresh(self):
        """A store that isn't too long to be verified again and again."""
        if self.world and sum(self.world.versions.values()) < 4000 and self.certificates < 6:
            return self.world
        if self.world:
            self.world.end()
        self.world = self.make_world()
        self.world.init()
        self.world.mount()
        self.world.make_devices()
        self.world.unmount()
        self.certificates = 0
        return self.world

    def close(self):
        if self.world:
            self.world.end()
        self.world = None
        if os.path.exists(self.log):
            os.unlink(self.log)

    def faults(self, name, nth):
        with open(self.log, "wb") as file:
            file.write(bytes(64))
        return {"ESCROWFS_FAULT": f"{name}:{nth}", "ESCROWFS_FAULT_LOG": self.log}

    def was_reached(self, name):
        if not os.path.exists(self.log):
            return False
        with open(self.log, encoding="ascii") as file:
            return file.read().rstrip("\0") == name

    def take_over(self, name):
        """The dead mount is mounted over, and what is there is right."""
        self.world.mount()
        self.world.check()
        self.world.unmount()
        self.counts["faults injected"] += 1
        if name:
            print(f"  {name}", flush=True)

    # ---- a mount that dies ----

    def mount_dies_at(self, name):
        world = self.fresh()
        world.mount(self.faults(name, self.dice.randrange(1, 40) if not name.startswith("log-") else 1))
        pid = world.daemon()
        clients = world.start_load()
        if not wait_until(lambda: world.is_dead(pid), DEADLY):
            world.kill(pid)
        world.end_load(clients, BUSY)
        self.take_over(name)
        return self.was_reached(name)

    def mount_dies_by_chance(self):
        world = self.fresh()
        world.mount()
        clients = world.start_load()
        time.sleep(self.dice.random() * 0.5)
        world.kill(world.daemon())
        world.end_load(clients, BUSY)
        self.take_over(None)

    def power_goes_out(self):
        world = self.fresh()
        disk = Disk(f"{world.directory}/disk")
        disk["keep"], disk["seed"] = 1, self.dice.randrange(1 << 40)
        world.mount(disk.env)
        pid = world.daemon()
        clients = world.start_load()
        time.sleep(self.dice.random() * 0.4)
        disk["cut"] = self.dice.randrange(1, 60)
        if not wait_until(lambda: world.is_dead(pid), DEADLY):
            self.counts.found("failed", "the power didn't go out")
            world.kill(pid)
        world.end_load(clients, BUSY)
        os.unlink(f"{world.store}/escrow.db-shm")
        self.take_over(None)
        self.counts["power cuts"] += 1

    # ---- a command that dies beside a mount ----

    def command_dies_at(self, name, commands, env=None, reached=None):
        """`commands`: functions of an environment. The last is called again, and must end well."""
        world = self.world
        world.mount()
        clients = world.start_load()
        for command in commands:
            status, _ = command(env or self.faults(name, 1))
            if status < 0:
                break
        again, said = commands[-1]({})
        if again != 0:
            self.counts.found("failed", f"after {name}: status {again}: {said}")
        world.kill(world.daemon())
        world.end_load(clients, BUSY)
        self.take_over(name)
        return reached() if reached else self.was_reached(name)

    def certificate(self):
        self.certificates += 1
        path = f"{self.world.directory}/{self.certificates}.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days",
                        "30", "-subj", "/CN=another", "-keyout", "/dev/null", "-out", path], check=True,
                       capture_output=True)
        return path

    def rekey_dies_at(self, name, env=None, reached=None):
        self.fresh()
        path = self.certificate()
        return self.command_dies_at(name, [
            lambda env: self.world.run("rekey", self.world.store, "--add", path, env=env, check=False),
            lambda env: self.world.run("rekey", self.world.store, env=env, check=False)], env, reached)

    def messages(self):
        """More than one batch of an import."""
        directory = f"{self.world.directory}/messages"
        os.makedirs(directory, exist_ok=True)
        self.world.serial += 1
        for n in range(700):
            with open(f"{directory}/{n}.plist", "wb") as file:
                plistlib.dump({"MessageType": "SetBootstrapToken", "UDID": f"I-{n}",
                               "BootstrapToken": b"%d of %d" % (n, self.world.serial)}, file)
        return directory

    def check_import(self):
        """What an import that ended well has brought is there."""
        token = f"{self.world.mount_point}/devices/I-{{}}/token"
        for n in range(0, 700, 7):
            if not os.path.exists(token.format(n)) or os.stat(token.format(n)).st_size == 0:
                self.counts.found("tokens lost", f"I-{n} was imported and has none")

    def import_dies_at(self, name, env=None, reached=None):
        self.fresh()
        directory = self.messages()
        result = self.command_dies_at(name, [
            lambda env: self.world.run("import", self.world.store, directory, env=env, check=False)], env, reached)
        self.world.mount()
        self.check_import()
        self.world.unmount()
        return result

    def power_goes_out_in(self, dies):
        """The same in a command by itself: a power loss is everybody's."""
        self.fresh()
        disk = Disk(f"{self.world.directory}/disk")
        disk["keep"], disk["seed"], disk["cut"] = 1, self.dice.randrange(1 << 40), self.dice.randrange(1, 150)
        world, dies_at = self.world, self.command_dies_at

        def alone(_name, commands, _env, _reached):
            for command in commands:
                if command(disk.env)[0] < 0:
                    os.unlink(f"{world.store}/escrow.db-shm")
                    self.counts["power cuts"] += 1
                    break
            again, said = commands[-1]({})
            if again != 0:
                self.counts.found("failed", f"after a power loss: status {again}: {said}")
            self.take_over(None)

        self.command_dies_at = alone
        try:
            dies("")
        finally:
            self.command_dies_at = dies_at

    # ---- a store that is brought up to date ----

    def old_store(self, world):
        kept = os.path.join(HERE, "..", "mount", "xml_seals")
        os.mkdir(world.store, 0o700)
        with open(f"{kept}/store.sql", "rb") as file:
            subprocess.run(["sqlite3", f"{world.store}/escrow.db"], stdin=file, check=True)
        subprocess.run(["sqlite3", f"{world.store}/escrow.db", "UPDATE store SET rendering = 0"], check=True)
        for which, name in ("key", "daily"), ("recovery", "recovery"):
            subprocess.run(["install", "-m", "0600", f"{kept}/{name}.pem", f"{world.store}.{which}.pem"], check=True)

    def migration_dies_at(self, name):
        world = self.make_world()
        self.old_store(world)
        command = [["status", world.store], ["mount", world.store, world.mount_point]][self.dice.randrange(2)]
        world.run(*command, env=self.faults(name, 1), check=False)
        world.mount()
        status, said = world.run("verify", world.store, check=False)
        if status != 0 or "4 seals opened: nothing is wrong" not in said:
            self.counts.found("tokens lost", f"after {name}: {said}")
        world.unmount()
        self.counts["faults injected"] += 1
        print(f"  {name}", flush=True)
        reached = self.was_reached(name)
        world.end()
        return reached

    def dies_at(self, name):
        if name.startswith(("migration-", "sizes-")):
            return self.migration_dies_at(name)
        if name.startswith("import-"):
            return self.import_dies_at(name)
        if name.startswith(("rekey-", "vacuum-")) or name == "log-cut":
            return self.rekey_dies_at(name)
        return self.mount_dies_at(name)

    def all_points(self, only=None):
        for name in points():
            if only and name != only:
                continue
            if not self.dies_at(name):
                self.counts.found("points not reached", name)
