/**
 * Programs that run for us stand in a session and process group of their own: Ctrl-C at the terminal reaches us
 * alone, and we decide which of them ends and when, before our own undo runs. The price is that nobody else ends
 * them: what still runs when our process exits is ended here.
 */
const living = new Map<number, NodeJS.Signals>();
let watching = false;

/** Notes a child that is to get `signal` should we exit before it does. */
export function adoptChild(pid: number, signal: NodeJS.Signals): void {
  living.set(pid, signal);
  if (watching) return;
  watching = true;
  process.on('exit', () => {
    for (const [child, last] of living) killGroup(child, last);
  });
}

export function releaseChild(pid: number): void {
  living.delete(pid);
}

/** Signals a child and all that it started; one that has ended already is no error. */
export function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: it ended by itself.
  }
}
