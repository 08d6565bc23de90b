/** A message's sequence in the log, and its writer's signature: what is needed to put it there again. */
export interface LogPlace {
  sequence: number;
  signature: string;
}
