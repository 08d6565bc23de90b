import type { z } from 'zod';
import type { BoardConfig } from '../../../schemas/config.ts';
import type { iterationEvents, NewEvent } from '../../../schemas/events.ts';
import { readBoot } from '../boot.ts';
import { isDone, isOf, readFired, readReport } from './deadline.ts';

/** What the log has to hear of a deadline that has gone off, once it does nothing more; it is the same each time. */
export const deadlinePassed = async (host: BoardConfig): Promise<NewEvent | undefined> => {
  const [fired, report] = await Promise.all([readFired(host), readReport(host)]);
  if (!fired || !report || !isOf(report, fired)) return undefined;
  const now = await readBoot(host);
  if (!isDone(report, now.bootId)) return undefined;
  const data: z.infer<(typeof iterationEvents)['DeadlinePassed']> = {
    because: report.because,
    restored: report.restored === true,
    version: fired.backup.version,
    unconfirmed: report.unconfirmed,
    now,
  };
  return { type: 'DeadlinePassed', iteration: fired.iteration, attempt: fired.attempt, data };
};
