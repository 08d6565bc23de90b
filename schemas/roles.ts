import { type coordinator, type EventType, fleetEvents, iterationEvents, stepEventType } from './events.ts';
import { type Role as HostRole, Role, stepNames } from './step-names.ts';

/** What a person may be allowed to say, in the fleet's file, and the events that say it. */
export const operatorRights = {
  start: ['IterationStarted'],
  approve: ['ReviewApproved', 'ReviewRejected'],
  retry: ['RetryAsked'],
  abort: ['AbortAsked'],
  waive: ['ClauseWaived'],
  /** To put a lost log together again. */
  restore: ['LogRestored'],
  /** To revoke a writer's key. */
  keys: ['KeyRevoked'],
} as const satisfies Record<string, readonly EventType[]>;
export type OperatorRight = keyof typeof operatorRights;
export const operatorRightNames = Object.keys(operatorRights) as [OperatorRight, ...OperatorRight[]];

/** What a writer is: what it may write follows from it. */
export type WriterRole = typeof coordinator | 'operator' | HostRole;

/** Who was asked answers, whatever its role: whose outcome counts follows from whom the request is for. */
const ofHosts: EventType[] = [
  'AgentStarted',
  'KeyRotated',
  ...stepNames.flatMap((step) => [stepEventType(step, 'Succeeded'), stepEventType(step, 'Failed')]),
];

/** Each role's event types. An operator's are those of the rights that the fleet's file gives. */
const typesOf: Record<WriterRole, ReadonlySet<string>> = {
  coordinator: new Set<EventType>([
    'IterationAccepted',
    'IterationRefused',
    'RetryAccepted',
    'RetryRefused',
    'ReviewRequested',
    'ApprovalExpired',
    'Checkpointed',
    'BoardLost',
    'IterationClosed',
    'IterationFailed',
    'IterationAborted',
    'KeyRotated',
    ...stepNames.flatMap((step) => [stepEventType(step, 'Requested'), stepEventType(step, 'Superseded')]),
  ]),
  operator: new Set<EventType>(['KeyRotated']),
  builder: new Set(ofHosts),
  publisher: new Set(ofHosts),
  board: new Set<EventType>([...ofHosts, 'DeadlinePassed']),
};
const knownTypes = new Set<string>([
  ...Object.keys(iterationEvents),
  ...Object.keys(fleetEvents),
  ...[...typesOf.coordinator],
  ...Role.options.flatMap((role) => [...typesOf[role]]),
]);

/** Whether a writer may write events of this type. A type that this version does not know is nobody's to refuse. */
export const mayWrite = (
  { role, may }: { role: WriterRole; may?: readonly OperatorRight[] | undefined },
  type: string,
): boolean => {
  if (!knownTypes.has(type) || typesOf[role].has(type)) return true;
  return (may ?? []).some((right) => (operatorRights[right] as readonly string[]).includes(type));
};
