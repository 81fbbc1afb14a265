// Child processes of the launchers: their lines, their end with ours, and their stop in bounded time.

import { spawn } from "node:child_process";
import readline from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** Calls `take` with each line of a stream. */
export function eachLine(stream, take) {
  readline.createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on("line", take);
}

/**
 * Starts a program in a process group of its own, so that a terminal's Ctrl-C reaches only us, who then
 * stop it in order. `ended` resolves to what ended it.
 */
export function start(program, args, options) {
  const child = spawn(program, args, { detached: true, ...options });
  const ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    // Not `exit`: by `close` its last lines have been read too.
    child.once("close", (code, signal) => resolve(signal ?? `status ${code}`));
  });
  const watcher = child.pid === undefined ? undefined : watchOver(child.pid);
  return { child, ended, watcher };
}

/** Asks a started program to end, waits, and then kills what is left of its group. */
export async function stop({ child, ended, watcher }, signal, drainMsMax) {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
  if ((await Promise.race([ended, sleep(drainMsMax)])) === undefined) {
    killGroup({ child });
    await ended;
  }
  watcher?.kill("SIGKILL");
}

/** Kills a started program and its own children at once. */
export function killGroup({ child, watcher }) {
  watcher?.kill("SIGKILL");
  try {
    if (child?.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // The group is gone already.
  }
}

/** A shell that waits for this process to be gone, however it dies, and then kills the group. */
function watchOver(group) {
  const script = 'read -r _; kill -9 "-$1" 2>/dev/null';
  const options = { detached: true, stdio: ["pipe", "ignore", "ignore"] };
  const watcher = spawn("/bin/sh", ["-c", script, "sluice-watch", String(group)], options);
  watcher.stdin.on("error", () => {});
  watcher.stdin.unref();
  watcher.unref();
  return watcher;
}
