import { access } from 'node:fs/promises';

/** Whether something of that path can be reached; where a link leads to nothing, there is nothing. */
export const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
