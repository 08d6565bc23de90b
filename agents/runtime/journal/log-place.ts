/** Where a message stands in the log, and its writer's signature: what it takes to put it there again. */
export interface LogPlace {
  sequence: number;
  signature: string;
}
