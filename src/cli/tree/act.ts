import type { CommandContext } from '../commands/context.ts';

/** A command's code: what it is given after the context is what its arguments and options declare. */
type Handler = (context: CommandContext, ...given: never[]) => Promise<number | void>;
/** Makes of a command’s code what commander calls: loaded when it is called. */
export type Act = (load: () => Promise<Handler>) => (...given: unknown[]) => Promise<void>;
