import type { Digest } from './image/digest.ts';

/** What is told while work goes on. `--json` prints each as one line on stderr, a terminal draws them. */
export type ProgressEvent =
  | { readonly event: 'resolved'; readonly image: string; readonly digest: Digest; readonly layers: number }
  | {
      readonly event: 'layer';
      readonly digest: Digest;
      readonly state: 'present' | 'started' | 'progress' | 'done';
      /** Compressed bytes so far, and in all. */
      readonly bytes: number;
      readonly total: number;
    }
  /** A step taken, in the words atomic printed: `Extracting to …`, `systemctl enable …`. */
  | { readonly event: 'step'; readonly text: string }
  | { readonly event: 'notice'; readonly text: string }
  | { readonly event: 'warning'; readonly text: string }
  | { readonly event: 'retry'; readonly text: string; readonly waitMs: number };

/** Where progress goes; never throws. */
export type Report = (event: ProgressEvent) => void;
