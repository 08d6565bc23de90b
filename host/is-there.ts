import { access } from 'node:fs/promises';

/** Whether there is something at that path. A dangling link counts as nothing. */
export const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
