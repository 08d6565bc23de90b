import type { z } from 'zod';
import { writeDurably } from '../../../host/durable-file.ts';
import type { BoardConfig } from '../../../schemas/config.ts';
import type { iterationEvents, NewEvent } from '../../../schemas/events.ts';
import { readBoot } from '../boot.ts';
import { ended, isDone, isOf, readFired, readReport, reportFile } from './deadline.ts';

/**
 * The event for a deadline that has gone off, once the deadline does nothing more. It is the same in each boot.
 * @throws {Error} if the report can't be read, or its end can't be written.
 */
export const deadlinePassed = async (host: BoardConfig): Promise<NewEvent | undefined> => {
  const [fired, found] = await Promise.all([readFired(host), readReport(host)]);
  if (!fired || !found || !isOf(found, fired)) return undefined;
  const now = await readBoot(host);
  if (!isDone(found, now.bootId)) return undefined;
  // The watch writes the end as well, but maybe later in this boot, and the event has to come before any step's
  // outcome.
  const report = found.overIn ? found : ended(found, now);
  if (!found.overIn) await writeDurably(reportFile(host), report);
  const data: z.infer<(typeof iterationEvents)['DeadlinePassed']> = {
    because: report.because,
    restored: report.restored === true,
    version: fired.backup.version,
    unconfirmed: report.unconfirmed,
    now: report.overIn ?? now,
  };
  return { type: 'DeadlinePassed', iteration: fired.iteration, attempt: fired.attempt, data };
};
