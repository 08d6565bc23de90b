import { BashSyntaxError, lineOf } from './bash-array.ts';

/** The PKGBUILD has a shape that a text edit can't handle. The message is a sentence with the line's number. */
export class PkgbuildError extends Error {
  override readonly name = 'PkgbuildError';

  constructor(line: number, message: string, cause?: unknown) {
    super(`PKGBUILD line ${line}: ${message}`, cause === undefined ? {} : { cause });
  }
}

/** Turns a {@link BashSyntaxError} into a PkgbuildError with its line. Any other error is returned as it is. */
export const asPkgbuildError = (text: string, error: unknown): unknown =>
  error instanceof BashSyntaxError
    ? new PkgbuildError(lineOf(text, error.offset), `${error.message}; expected bash`, error)
    : error;
