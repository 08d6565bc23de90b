import { close, fdatasync, fdatasyncSync, openSync } from 'node:fs';

/** Brings to the disk what was written to a file. */
export interface Flush {
  /** Beside other work: once more for all calls that came meanwhile. */
  call(): void;
  /** All of it is on the disk when this returns. */
  now(): void;
  close(): void;
}

/** @param file has to be there, and stays until the flush is closed. @param onTrouble receives the disk's errors. */
export const createFlush = (file: string, onTrouble: (error: unknown) => void): Flush => {
  const open = openSync(file, 'r');
  let [isFlushing, isCalled, isClosed] = [false, false, false];
  const end = () => close(open, () => undefined);
  const flush = () => {
    [isFlushing, isCalled] = [true, false];
    fdatasync(open, (error) => {
      isFlushing = false;
      if (error) onTrouble(error);
      if (isClosed) end();
      else if (isCalled) flush();
    });
  };
  return {
    call() {
      isCalled = true;
      if (!isFlushing && !isClosed) flush();
    },
    now: () => fdatasyncSync(open),
    close() {
      isClosed = true;
      if (!isFlushing) end();
    },
  };
};
