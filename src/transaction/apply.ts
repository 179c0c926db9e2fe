import { AtomicError, messageOf } from '../errors.ts';
import type { StepContext } from './context.ts';
import { removeTemporaries } from './temporaries.ts';
import { Journal, noteUndone, type OpenJournal } from './journal.ts';
import { announceStep, describeStep, nameChange, type Plan } from './plan.ts';
import { applyStep, captureStep, cleanStep, undoStep, type Before } from './steps.ts';

interface Begun {
  readonly index: number;
  readonly before: Before;
}

/**
 * Carries a plan out, whole or not at all. Each step is in the journal before it begins; an error or an abort undoes
 * what was done, last step first, and is then thrown as it was.
 * @param folder where journals are, on the file system of the checkouts
 * @throws whatever a step threw; AtomicError `journal-open`
 */
export async function applyPlan(plan: Plan, folder: string, context: StepContext): Promise<void> {
  const journal = await Journal.create(folder, plan, context.files);
  const begun: Begun[] = [];
  try {
    for (const [index, step] of plan.steps.entries()) {
      context.signal.throwIfAborted();
      const before = await captureStep(step, context);
      await journal.begin(index, before);
      begun.push({ index, before });
      const line = announceStep(step);
      if (line !== undefined) context.report({ event: 'step', text: line });
      await applyStep(step, context);
    }
    context.signal.throwIfAborted();
    await journal.commit();
  } catch (error) {
    await undoAll(plan, begun, journal, error, context);
    throw error;
  }
  await cleanUp(plan, context);
  await journal.remove();
}

async function undoAll(
  plan: Plan,
  begun: readonly Begun[],
  journal: Journal,
  error: unknown,
  context: StepContext,
): Promise<void> {
  const trouble = await undoSteps(plan, begun, context, (index) => journal.undone(index));
  try {
    if (trouble.length === 0) await journal.remove();
    else await journal.keep();
  } catch (unremoved) {
    trouble.push(`Could not remove the journal ${journal.path}: ${messageOf(unremoved)}`);
  }
  for (const sentence of trouble) {
    if (error instanceof AtomicError) error.addTrouble(sentence);
    else context.report({ event: 'warning', text: sentence });
  }
}

/**
 * Undoes steps, last first; goes on behind one that cannot be undone, and tells of each.
 * @param note puts on the disk that a step is undone: undone once more, it would take away what an earlier step's way
 * back has put in its place
 */
async function undoSteps(
  plan: Plan,
  begun: readonly Begun[],
  context: StepContext,
  note: (index: number) => Promise<void>,
): Promise<string[]> {
  const trouble: string[] = [];
  for (const { index, before } of [...begun].reverse()) {
    const step = plan.steps[index];
    if (step === undefined) continue;
    try {
      await undoStep(step, before, context);
      await note(index);
    } catch (error) {
      trouble.push(`Could not undo "${describeStep(step)}": ${messageOf(error)}`);
    }
  }
  return trouble;
}

async function cleanUp(plan: Plan, context: StepContext): Promise<void> {
  for (const step of plan.steps) {
    try {
      await cleanStep(step, context);
    } catch (error) {
      // The change itself is done and stands; what was kept for its way back is only in the way.
      context.report({
        event: 'warning',
        text: `Could not clean up after "${describeStep(step)}": ${messageOf(error)}`,
      });
    }
  }
}

/**
 * Ends a transaction that died with its process: one that had ended well is cleaned up after, any other is undone.
 * The caller holds the container's lock, so no living process is at it.
 * @returns what was done
 * @throws AtomicError `journal-open` when something could not be undone; the journal stays
 */
export async function recoverJournal(
  journal: OpenJournal,
  context: StepContext,
): Promise<'finished' | 'undone'> {
  const { plan, path } = journal;
  // First, or they would keep folders that the change made from being empty.
  await removeTemporaries(journal, context.files);
  if (journal.committed) {
    await cleanUp(plan, context);
  } else {
    const trouble = await undoSteps(plan, journal.begun, context, (index) =>
      noteUndone(journal, index, context.files),
    );
    if (trouble.length > 0) {
      throw new AtomicError('journal-open', `The ${nameChange(plan)} that was cut off could not be undone`, {
        details: trouble.join('\n'),
        hint: `Put right what is named above and run the command again; the journal is ${path}.`,
      });
    }
  }
  await context.files.remove(path);
  return journal.committed ? 'finished' : 'undone';
}
