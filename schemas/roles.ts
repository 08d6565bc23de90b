import { type coordinator, type EventType, fleetEvents, iterationEvents, stepEventType } from './events.ts';
import { type Role as HostRole, Role, stepNames } from './step-names.ts';

/** The rights that the fleet's file can give a person, and the events that each right allows. */
export const operatorRights = {
  start: ['IterationStarted'],
  approve: ['ReviewApproved', 'ReviewRejected'],
  retry: ['RetryAsked'],
  abort: ['AbortAsked'],
  waive: ['ClauseWaived'],
  /** To restore a lost log, and to acknowledge what is refused in it. */
  restore: ['LogRestored', 'RefusalAcknowledged'],
  /** To revoke a writer's key. */
  keys: ['KeyRevoked'],
} as const satisfies Record<string, readonly EventType[]>;
export type OperatorRight = keyof typeof operatorRights;
export const operatorRightNames = Object.keys(operatorRights) as [OperatorRight, ...OperatorRight[]];

/** A writer's role, from which follows what it may write. */
export type WriterRole = typeof coordinator | 'operator' | HostRole;

/** A host may answer any request, whatever its role. An outcome counts only if the request was for that host. */
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
    'ApprovalVoided',
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

export const isWriterRole = (role: string): role is WriterRole => Object.hasOwn(typesOf, role);
export const isOperatorRight = (right: string): right is OperatorRight =>
  Object.hasOwn(operatorRights, right);

const knownTypes = new Set<string>([
  ...Object.keys(iterationEvents),
  ...Object.keys(fleetEvents),
  ...[...typesOf.coordinator],
  ...Role.options.flatMap((role) => [...typesOf[role]]),
]);

/** Whether a writer may write events of this type. A type that this version does not know is never refused. */
export const mayWrite = (
  { role, may }: { role: WriterRole; may?: readonly OperatorRight[] | undefined },
  type: string,
): boolean => {
  if (!knownTypes.has(type) || typesOf[role].has(type)) return true;
  return (may ?? []).some((right) => (operatorRights[right] as readonly string[]).includes(type));
};
