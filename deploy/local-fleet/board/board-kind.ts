/** What the fleet's board is: a folder of this machine, or a virtual machine. */
export const boardKinds = ['folder', 'virtual'] as const;
export type BoardKind = (typeof boardKinds)[number];

/**
 * How long a fleet may take to be ready, including its board's boot. Emulation is slow, and slower on a busy machine.
 */
export const readyWithinMs: Readonly<Record<BoardKind, number>> = { folder: 60_000, virtual: 300_000 };

/** How long a fleet may take to end in order: a virtual board shuts down meanwhile, for which it gets 30 and 120 s. */
export const endsWithinMs: Readonly<Record<BoardKind, number>> = { folder: 60_000, virtual: 210_000 };
