/** Answers of operations: XML, nothing, or XML that takes its time. */
import { SETTLED } from '../../core/abortable.ts';
import { slowAnswerMs } from '../../core/limits.ts';
import { asForebayError, errorElementOf } from './s3-error.ts';
import type { S3Request } from './s3-request.ts';
import { XML_DECLARATION, XML_HEADERS, xmlDocument } from './xml.ts';

export function answerXml(request: S3Request, root: string, headers: readonly string[] = []): void {
  request.exchange.answer(200, ['x-amz-request-id', request.id, ...XML_HEADERS, ...headers], xmlDocument(root));
}

export function answerEmpty(request: S3Request, status: number, headers: readonly string[] = []): void {
  request.exchange.answer(status, ['x-amz-request-id', request.id, ...headers]);
}

/**
 * Answers with the XML that `work` makes. When that takes longer than `slowAnswerMs`, the answer begins with 200 and
 * blanks keep the connection alive, as S3 does it; a failure is then an `<Error>` in the body, for which SDKs look.
 */
export async function answerWhenDone(request: S3Request, work: Promise<string>): Promise<void> {
  const { exchange, parts } = request;
  const settled = work.then(
    (root) => ({ root }),
    (error: unknown) => ({ error }),
  );
  for (;;) {
    const patience = new AbortController();
    const outcome = await Promise.race([
      settled,
      parts.clock.sleep(slowAnswerMs, patience.signal).then(
        () => undefined,
        () => undefined,
      ),
    ]);
    patience.abort(SETTLED);
    if (outcome === undefined) {
      if (!exchange.begun) {
        exchange.begin(200, ['x-amz-request-id', request.id, ...XML_HEADERS], undefined);
        await exchange.sendBytes(Buffer.from(XML_DECLARATION));
      }
      await exchange.sendBytes(Buffer.from(' '));
      continue;
    }
    if (!exchange.begun) {
      if ('error' in outcome) throw outcome.error;
      answerXml(request, outcome.root);
      return;
    }
    const context = { id: request.id, resource: exchange.target };
    const root = 'error' in outcome ? errorElementOf(asForebayError(outcome.error), context) : outcome.root;
    await exchange.sendBytes(Buffer.from(root, 'utf8'));
    exchange.end();
    return;
  }
}
