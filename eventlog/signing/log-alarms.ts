import { writerIn } from '../../schemas/events.ts';
import type { Alarm, AlarmGroups } from '../grouped-alarms.ts';
import type { LogReports } from '../stream/event-log.ts';
import type { RefusedMessage } from './check-event.ts';

const alarmWith =
  (next: string) =>
  ({ sequence, subject, cause, why }: RefusedMessage): Alarm => ({
    // What was lost is nobody's message: it is named by the one after it.
    writer: cause === 'lost' ? 'the log' : writerIn(subject),
    ...{ cause, why, next, sequence },
    what: `sequence ${sequence}, ${subject}`,
  });

/** The alarm for a message that is refused. */
export const refusedAlarm = alarmWith('it is ignored');
/** The alarm for an event that does not follow from its writer's event before, or is not whole. */
export const faultAlarm = alarmWith('see: ka audit --verify');

/** Puts what is reported of a log into groups. */
export const reportsInto = (
  groups: Pick<AlarmGroups, 'acknowledge'> & { note(alarm: Alarm): void },
): Required<Pick<LogReports, 'onRefused' | 'onAlarm' | 'onAcknowledged'>> => ({
  onRefused: (refused) => groups.note(refusedAlarm(refused)),
  onAlarm: (alarm) => groups.note(faultAlarm(alarm)),
  onAcknowledged: (one) => groups.acknowledge(one),
});
