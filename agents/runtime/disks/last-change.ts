import { stat } from 'node:fs/promises';

/** When any of these was changed last, in milliseconds since 1970: 0 where none is there. */
export const lastChange = async (...paths: readonly string[]): Promise<number> => {
  const times = paths.map((path) =>
    stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    ),
  );
  return Math.max(0, ...(await Promise.all(times)));
};
