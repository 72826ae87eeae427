/** A child process of `forebay sim`: runs the seeds that its parent sends, one after another, and sends the results. */
import { runSeed, type SeedRequest } from './run.ts';

process.on('message', (request) => {
  runSeed(request as SeedRequest).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      process.stderr.write(
        `seed ${(request as SeedRequest).seed}: ${error instanceof Error ? error.stack : String(error)}\n`,
      );
      process.exit(1);
    },
  );
});
