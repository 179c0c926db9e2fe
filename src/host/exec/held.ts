/**
 * Descriptors of held locks. Every program that works for us inherits them, so that a lock outlives us, should we be
 * killed, until the last of them has ended: nobody repairs what an orphan is still writing to.
 */
const held = new Set<number>();

export function holdDescriptor(descriptor: number): void {
  held.add(descriptor);
}

/** Before the descriptor is closed: its number may then be another file's. */
export function dropDescriptor(descriptor: number): void {
  held.delete(descriptor);
}

/** What stands behind a child's standard streams. */
export function heldDescriptors(): readonly number[] {
  return [...held];
}
