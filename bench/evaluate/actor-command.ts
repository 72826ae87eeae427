/** What the process of a node is told: it is the job, its ranks and its tools, whichever candidate they use. */
import type { JobFile, SaveTarget, Spell } from '../fan-out-write/job-command.ts';

/** How a node gets objects of the bucket, or values. */
export type Source =
  | { readonly via: 'http'; readonly host: string; readonly prefix: string }
  | { readonly via: 'file'; readonly directory: string }
  /** `line` has `${key}` and `${file}`: it writes the object to that file. */
  | { readonly via: 'shell'; readonly line: string; readonly directory: string }
  /** `lookup`: asks how many leading values are promised before it takes them. */
  | { readonly via: 'resp'; readonly host: string; readonly lookup: boolean };

/** How a node puts them. */
export type Sink =
  | SaveTarget
  /** One PUT each. */
  | { readonly kind: 'put'; readonly host: string; readonly prefix: string }
  /** `line` has `${key}` and `${file}`: it reads the object from that file. */
  | { readonly kind: 'shell'; readonly line: string; readonly directory: string }
  | { readonly kind: 'resp'; readonly host: string };

export type ActorCommand =
  /** All files, `parallel` at once, every byte compared; answers with Spell. */
  | { readonly do: 'read'; readonly from: Source; readonly files: readonly JobFile[]; readonly parallel: number }
  /** Every rank its files one after the other, all ranks at once; answers with Spell. */
  | { readonly do: 'save'; readonly ranks: readonly (readonly JobFile[])[]; readonly to: Sink }
  /** Plain files to the origin in the background; answers with Spell. */
  | {
      readonly do: 'copy';
      readonly directory: string;
      readonly files: readonly JobFile[];
      readonly host: string;
      readonly prefix: string;
    }
  /** A command line, to its end. */
  | { readonly do: 'run'; readonly line: string; readonly directory: string }
  /** Answers with the text of an HTTP answer. */
  | { readonly do: 'ask'; readonly url: string; readonly body?: unknown }
  /** Whether something accepts connections there. */
  | { readonly do: 'knock'; readonly host: string }
  /** Whether another file system is mounted on a directory. */
  | { readonly do: 'isMounted'; readonly directory: string };

export type { JobFile, Spell };
