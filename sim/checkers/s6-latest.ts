/**
 * S-6 for `latest`: it names a checkpoint that was committed, and never one that was begun before another whose commit was
 * acknowledged, unless somebody rolled back to it since that one was begun. After a rollback it names what the rollback named
 * until something that was begun later is committed.
 */
import type { Findings } from './checker.ts';

/** What was asked for, and when it was answered; infinity: never, or with an error that says nothing of the outcome. */
interface Asked {
  readonly volume: string;
  readonly name: string;
  readonly askedMs: number;
  endedMs: number;
}

interface Attempt {
  readonly begun: Asked;
  commit: Asked | undefined;
}

const isSame = (volume: string, name: string) => (each: Asked) => each.volume === volume && each.name === name;

export class Latest {
  readonly #findings: Findings;
  readonly #attempts: Attempt[] = [];
  readonly #rollbacks: Asked[] = [];

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  begun(asked: Asked): Attempt {
    const attempt: Attempt = { begun: asked, commit: undefined };
    this.#attempts.push(attempt);
    return attempt;
  }

  /** To be called before it is asked for; the caller writes down when it was acknowledged. */
  rollback(asked: Asked): Asked {
    this.#rollbacks.push(asked);
    return asked;
  }

  /** Names of checkpoints whose commits were acknowledged. */
  committed(volume: string): string[] {
    const done = this.#attempts.filter(({ commit }) => commit?.volume === volume && Number.isFinite(commit.endedMs));
    return Array.from(new Set(done.map(({ begun }) => begun.name)));
  }

  saw(
    node: string,
    volume: string,
    name: string | undefined,
    { askedMs, answeredMs }: Record<'askedMs' | 'answeredMs', number>,
  ): void {
    const of = this.#attempts.filter(({ begun }) => begun.volume === volume);
    const before = of.filter(({ commit }) => commit !== undefined && commit.endedMs < askedMs);
    const what = `${node} was told at ${answeredMs} ms that the latest of ${volume} is ${name ?? 'none'}`;
    if (name === undefined) {
      const [first] = before;
      if (first) this.#findings.add('S-6', `${what}, but ${first.begun.name} was committed before`);
      return;
    }
    const mine = of.filter(
      ({ begun, commit }) => begun.name === name && commit !== undefined && commit.askedMs <= answeredMs,
    );
    if (mine.length === 0) {
      this.#findings.add('S-6', `${what}, which nobody has committed`);
      return;
    }
    const back = this.#rollbacks.filter(isSame(volume, name)).filter((each) => each.askedMs <= answeredMs);
    const newer = before.find(
      (other) =>
        mine.every(({ begun }) => begun.endedMs < other.begun.askedMs) &&
        !back.some(({ endedMs }) => endedMs >= other.begun.askedMs),
    );
    if (newer) this.#findings.add('S-6', `${what}, but ${newer.begun.name} was begun later and is committed`);
    const undone = this.#rollbacks.find(
      (other) =>
        other.volume === volume &&
        other.name !== name &&
        other.endedMs < askedMs &&
        mine.every(({ begun }) => begun.endedMs < other.askedMs) &&
        !back.some(({ endedMs }) => endedMs >= other.askedMs),
    );
    if (undone) this.#findings.add('S-6', `${what}, but it was rolled back to ${undone.name} at ${undone.askedMs} ms`);
  }
}
