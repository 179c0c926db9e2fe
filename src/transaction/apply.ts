import { AtomicError, isAtomicError, messageOf } from '../errors.ts';
import type { StepContext } from './context.ts';
import { failureOf } from './failure.ts';
import { Journal, noteUndone, removeJournal, type OpenJournal } from './journal.ts';
import { announceStep, describeStep, nameChange, type Plan, type Step } from './plan.ts';
import { applyStep, captureStep, cleanStep, undoStep, type Before } from './steps.ts';

interface Begun {
  readonly index: number;
  readonly before: Before;
}

/**
 * Carries a plan out, whole or not at all. Each step is in the journal before it begins; an error or an abort undoes
 * what was done, last step first, and is then thrown as it was.
 * @param folder where journals are, on the file system of the checkouts
 * @throws whatever a step threw; AtomicError `journal-open`, also when all is done but some of its garbage stays
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
      await applyStep(step, before, context);
    }
    context.signal.throwIfAborted();
    await journal.commit();
  } catch (error) {
    const failure = failureOf(error, new Date());
    if (failure !== undefined) await journal.fail(failure);
    await undoAll(plan, begun, journal, error, { ...context, failure });
    throw error;
  }
  const unfinished = await cleanUp(plan, begun, context);
  if (unfinished === undefined) return journal.remove();
  await journal.keep();
  throw unfinished;
}

async function undoAll(
  plan: Plan,
  begun: readonly Begun[],
  journal: Journal,
  error: unknown,
  context: StepContext,
): Promise<void> {
  const undone = await undoSteps(plan, begun, context, (index) => journal.undone(index));
  const trouble = [...undone.trouble];
  try {
    if (!undone.isOpen) await journal.remove();
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
 * @returns what to tell of, and whether something is left to be undone. A service that ran and does not come up again is
 * told of; all that we can put right is right, so nothing is left open by it.
 */
async function undoSteps(
  plan: Plan,
  begun: readonly Begun[],
  context: StepContext,
  note: (index: number) => Promise<void>,
): Promise<{ readonly trouble: readonly string[]; readonly isOpen: boolean }> {
  const trouble: string[] = [];
  let isOpen = false;
  for (const { index, before } of [...begun].reverse()) {
    const step = plan.steps[index];
    if (step === undefined) continue;
    try {
      await undoStep(step, before, context);
      await note(index);
    } catch (error) {
      trouble.push(`Could not undo "${describeStep(step)}": ${messageOf(error)}`);
      if (isAtomicError(error, 'service-failed')) await note(index);
      else isOpen = true;
    }
  }
  return { trouble, isOpen };
}

/**
 * What is left to do once a plan has ended well.
 * @returns an error when some of it has to be done another time; what was only kept for the way back is told of
 */
async function cleanUp(
  plan: Plan,
  begun: readonly Begun[],
  context: StepContext,
): Promise<AtomicError | undefined> {
  let unfinished: AtomicError | undefined;
  for (const { index, before } of begun) {
    const step = plan.steps[index];
    if (step === undefined) continue;
    try {
      await cleanStep(step, before, context);
    } catch (error) {
      const text = `Could not clean up after "${describeStep(step)}": ${messageOf(error)}`;
      // Garbage that was collected by halves leaves commits without their files: the next command goes on with it.
      if (step.kind === 'collect-garbage') unfinished = notFinished(plan, text, error);
      else context.report({ event: 'warning', text });
    }
  }
  return unfinished;
}

function notFinished(plan: Plan, details: string, cause: unknown): AtomicError {
  return new AtomicError('journal-open', `The ${nameChange(plan)} is done, but for what it leaves behind`, {
    cause,
    details,
    hint: 'atomic-ts repair goes on with it.',
  });
}

/**
 * Ends a transaction that died with its process: one that had ended well is cleaned up after, any other is undone.
 * The caller holds the container's lock, so no living process is at it.
 * @returns what was done
 * @throws AtomicError `journal-open` when something could not be undone, or not be finished; the journal stays
 */
export async function recoverJournal(
  journal: OpenJournal,
  context: StepContext,
): Promise<'finished' | 'undone'> {
  const { plan, path, failure } = journal;
  if (journal.committed) {
    const unfinished = await cleanUp(plan, journal.begun, context);
    if (unfinished !== undefined) throw unfinished;
  } else {
    const { trouble, isOpen } = await undoSteps(plan, journal.begun, { ...context, failure }, (index) =>
      noteUndone(journal, index, context.files),
    );
    if (isOpen) {
      throw new AtomicError('journal-open', `The ${nameChange(plan)} that was cut off could not be undone`, {
        details: trouble.join('\n'),
        hint: `Put right what is named above and run the command again; the journal is ${path}.`,
      });
    }
    for (const text of trouble) context.report({ event: 'warning', text });
  }
  await removeJournal(path, context.files);
  await discardStaged(plan, journal.committed, context);
  return journal.committed ? 'finished' : 'undone';
}

/**
 * Removes the trees in the making of a change that is undone, and the bundle of one that ran a container, which has no
 * other place. Behind the end of the journal: while it is there, they tell what has been undone already.
 */
async function discardStaged(
  { steps }: Plan,
  committed: boolean,
  { files, report }: StepContext,
): Promise<void> {
  for (const step of steps) {
    const tree = stagedBy(step, committed);
    if (tree === undefined) continue;
    try {
      await files.removeTree(tree);
    } catch (error) {
      report({ event: 'warning', text: `Could not remove ${tree}: ${messageOf(error)}` });
    }
  }
}

function stagedBy(step: Step, committed: boolean): string | undefined {
  if (step.kind === 'run-attached') return step.folder;
  return step.kind === 'place-deployment' && !committed ? step.from : undefined;
}
