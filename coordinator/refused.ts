/** What a person asked for can't be done as things are. The message says why, and what can be done instead. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** What a person asked for is in the log, but no coordinator has answered. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}
