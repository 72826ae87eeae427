/** Whoever presses Ctrl-C gets a machine back on which nothing is left. */

/** Disposes of `stack` and ends the process when it is told to stop; a second time it ends at once. */
export function cleanUpOnInterrupt(stack: AsyncDisposableStack, before: () => void = () => undefined): void {
  let asked = false;
  const stop = () => {
    if (asked) process.exit(130);
    asked = true;
    before();
    void stack.disposeAsync().finally(() => process.exit(130));
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  stack.defer(() => {
    if (!asked) process.off('SIGINT', stop).off('SIGTERM', stop);
  });
}
