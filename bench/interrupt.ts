/** Whoever presses Ctrl-C gets a machine back on which nothing is left. */

let wasAsked = false;

/** The process is on its way out: what fails meanwhile fails because of that. */
export const isInterrupted = (): boolean => wasAsked;

/** Disposes of `stack` and ends the process when it is told to stop; a second time it ends at once. */
export function cleanUpOnInterrupt(stack: AsyncDisposableStack, before: () => void = () => undefined): void {
  const stop = () => {
    if (wasAsked) process.exit(130);
    wasAsked = true;
    before();
    void stack.disposeAsync().finally(() => process.exit(130));
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  stack.defer(() => {
    if (!wasAsked) process.off('SIGINT', stop).off('SIGTERM', stop);
  });
}
