"""Linux' processes: who dies with whom, and what is left of whom."""

import os
import signal
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option, value):
    """Linux' prctl(2); elsewhere nothing."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except Exception:
        pass


def own_children():
    """The numbers of the processes whose parent we are."""
    try:
        with open("/proc/self/task/%d/children" % os.getpid()) as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:
        return []


def signal_group(leader, number, pause):
    """Send a signal to those processes of a group that handle it (it would end the others), children first.

    `pause` seconds lie between two of them, so that one after the other answers.
    """
    parents = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        try:
            if name.isdigit() and os.getpgid(int(name)) == leader:
                status = _status(name)
                handles = int(status["SigCgt"], 16) >> (number - 1) & 1
                parents[int(name)] = (int(status["PPid"]), handles)
        except (OSError, KeyError, ValueError):
            pass

    def depth(pid):
        found = 0
        while pid in parents and found < len(parents):
            pid = parents[pid][0]
            found += 1
        return found

    for pid in sorted(parents, key=depth, reverse=True):
        if parents[pid][1]:
            try:
                os.kill(pid, number)
            except OSError:
                continue
            time.sleep(pause)


def _status(pid):
    with open("/proc/%s/status" % pid) as status:
        return dict(line.split(":\t", 1) for line in status if ":\t" in line)


def kill(pid):
    """Kill a process and its group, whatever is left of them."""
    for send in (os.killpg, os.kill):
        try:
            send(pid, signal.SIGKILL)
        except OSError:
            pass
