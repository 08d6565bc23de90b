import { z } from 'zod';
import { type BlobLookup, type BlobMarker, mayNameBlobs, withBlobs } from './blob-marker.ts';
import { Boot } from './boot.ts';
import { Verdict } from './check-faults.ts';
import {
  ClauseName,
  Fingerprint,
  FleetName,
  HostName,
  IterationName,
  ObjectId,
  PackageVersion,
  PersonName,
  PublicKey,
  Release,
  Sha256,
  WriterName,
} from './names.ts';
import { Needs } from './needs.ts';
import { type Opened, opened } from './open.ts';
import { GoBack, Patch, Plan, Resolved } from './plan.ts';
import { EndReason, LostReason, Refusal, Stranded, SupersededReason, VoidedReason } from './reasons.ts';
import { Reviewed } from './reviewed.ts';
import { Shallow } from './shallow.ts';
import { SignedEvent } from './signed-event.ts';
import { Role, StepName, stepNames } from './step-names.ts';
import { Failure, type StepEvidence, type StepRequest, steps } from './steps.ts';

/** The writer of the events that follow from the log. */
export const coordinator = 'coordinator';
/** The name of a person as a writer. No host's name begins with `@`. */
export const personWriter = (name: string): string => `@${name}`;
/** Whether a writer is a person. */
export const isPerson = (writer: string): boolean => writer.startsWith('@');
/** The iteration token of an event that belongs to the fleet and to no iteration. */
export const noIteration = '_';

/**
 * The facts of the fleet's file that decisions about an iteration rest on. The decider reads them here and nowhere
 * else.
 */
export const FleetFacts = z.object({
  /** The OpenPGP key that the fleet signs packages with. */
  signingKey: Fingerprint,
  /** The hosts that the plan names, as far as the fleet has them. */
  hosts: z.record(HostName, z.object({ role: Role })),
  /** The reviewers that the plan names: whether each may approve. */
  reviewers: z.record(PersonName, z.object({ mayApprove: z.boolean() })),
  /** How many people have to approve, and whether the one who started the iteration counts as one of them. */
  approvals: z.int().min(1),
  authorMayApprove: z.boolean(),
});
export type FleetFacts = z.infer<typeof FleetFacts>;

/** What people and the coordinator write about an iteration; the key is the event's type. */
export const iterationEvents = {
  /**
   * By a person, who asks for the iteration: the plan as it was checked and as it was written, with the patches' own
   * bytes.
   */
  IterationStarted: z.object({
    plan: Plan,
    /** The plan's own file, so that the hash can be checked. */
    planText: z.string(),
    planSha256: Sha256,
    series: z.array(Patch).min(1),
    resolved: Resolved.optional(),
    needs: Needs.optional(),
    by: PersonName,
  }),
  /** By the coordinator: accepts the start that it answers. */
  IterationAccepted: z.object({
    /** The names of the rules that it is decided by: `coordinator/decider/rules.ts`. */
    rules: z.array(z.string()),
    fleet: FleetFacts,
    /** The last iteration of this package's folder that has closed, and what it landed: a review shows what differs. */
    since: z.object({ iteration: IterationName, commit: ObjectId }).optional(),
  }),
  /** By the coordinator: refuses the start that it answers. Its number counts the refusals of that name. */
  IterationRefused: z.object({ reason: Refusal, fleet: FleetFacts }),
  /** By the coordinator: the iteration now waits until these people have approved exactly this plan and these trees. */
  ReviewRequested: z.object({ approvals: z.array(PersonName), ...Reviewed.shape }),
  ReviewApproved: z.object({
    by: PersonName,
    note: z.string(),
    ...Reviewed.shape,
    /** By the clock of the log's server. */
    expires: z.iso.datetime(),
  }),
  ReviewRejected: z.object({ by: PersonName, note: z.string(), ...Reviewed.shape }),
  /**
   * By the coordinator: an approval expired before anything was landed on it. Its number is the approval's sequence.
   */
  ApprovalExpired: z.object({ by: PersonName, approval: z.int().min(1), expires: z.iso.datetime() }),
  /**
   * By the coordinator: an approval does not count any more, and has to be given again. Its number is the approval's
   * sequence.
   */
  ApprovalVoided: z.object({ by: PersonName, approval: z.int().min(1), reason: VoidedReason }),
  ClauseWaived: z.object({ clause: ClauseName, why: z.string().min(1), by: PersonName }),
  /** By a person, who asks for a retry. */
  RetryAsked: z.object({ by: PersonName }),
  /**
   * By the coordinator: what had failed before this event is requested again. Its number is that of the event it
   * answers.
   */
  RetryAccepted: z.object({}),
  RetryRefused: z.object({ reason: Refusal }),
  AbortAsked: z.object({ by: PersonName, why: z.string() }),
  /** By the coordinator: a board was changed and does not come back. The iteration waits for it, or for a person. */
  BoardLost: z.object({
    host: HostName,
    step: StepName,
    attempt: z.int().min(1),
    reason: LostReason,
    /** What its agent reported when it last started; null if it never started. */
    lastSeen: z.object({ bootId: z.string(), release: Release, package: z.string().nullable() }).nullable(),
  }),
  /** By the board: nobody confirmed the new kernel in time, and it went back on its own. Its number is the reboot's. */
  DeadlinePassed: z.object({
    /** Why, in the board's words. */
    because: z.string(),
    /** Whether everything was put back. Otherwise the board gave up, and needs a person. */
    restored: z.boolean(),
    /** The version that it put back. */
    version: PackageVersion,
    unconfirmed: Boot,
    now: Boot,
  }),
  IterationClosed: z.object({
    clauses: z.array(z.object({ id: ClauseName, verdict: Verdict, events: z.array(z.int()) })),
  }),
  /** `goBack` is what the plan says about where the work goes on. */
  IterationFailed: z.object({
    reason: EndReason,
    boardRolledBack: z.boolean(),
    /** Absent if the board was not changed, or was put back. */
    stranded: Stranded.optional(),
    goBack: GoBack,
  }),
  IterationAborted: z.object({
    reason: EndReason,
    boardRolledBack: z.boolean(),
    stranded: Stranded.optional(),
  }),
} as const;

/** How many messages one event acknowledges at most: it puts nothing aside. */
export const mostAcknowledged = 1_000;

export const fleetEvents = {
  /** By a host, each time its agent starts. */
  AgentStarted: z.object({
    role: Role,
    version: z.string(),
    bootId: z.string(),
    release: Release,
    package: z.string().nullable(),
    /** sha256 of its trust file. */
    trustSha256: Sha256.optional(),
    /** The build that it runs, if it was installed from one. */
    build: z.string().max(200).optional(),
  }),
  /**
   * By the operator: the log was lost and rebuilt, and a new epoch begins. Requests of an older epoch no longer count.
   */
  LogRestored: z.object({
    epoch: z.int().min(2),
    by: PersonName,
    /** How many events were appended again, and how many are known to be missing because nobody held them. */
    rebuilt: z.int().min(0),
    missing: z.int().min(0),
  }),
  /** By the coordinator, one for each host: one hash over everything that the log held up to here. */
  Checkpointed: z.object({
    host: HostName,
    /** How many messages it covers. */
    size: z.int().min(1),
    /** RFC 6962 root over them, base64. */
    root: z.base64(),
    /** The coordinator's signed note over it: C2SP tlog-checkpoint. */
    note: z.string(),
    /**
     * The size of this host's checkpoint before (0: none), and the proof that the log at `size` begins with the log at
     * `from`.
     */
    from: z.int().min(0),
    proof: z.array(z.base64()),
    /** The operator's event that began this epoch of the log. Checkpoints of an earlier epoch no longer count. */
    restored: SignedEvent.optional(),
    /** The iterations that go on then and name the host: what it keeps of the others may go. Absent if nobody says so. */
    open: z.array(IterationName).optional(),
  }),
  /** By the writer, signed with its old key. Its later events are signed with the new one. */
  KeyRotated: z.object({
    publicKey: PublicKey,
    /** The new key's signature over fleet, writer, old key and new key. It proves that the writer holds the new key. */
    proof: z.string(),
  }),
  /** By an operator: what this key signs after this event does not count. */
  KeyRevoked: z.object({ writer: WriterName, publicKey: PublicKey, by: PersonName, why: z.string().min(1) }),
  /**
   * By an operator, who has looked at messages that are refused, or do not follow from their writer's event before: they
   * are no fault of the log any more. Each is named by its place and its hash, so no other message is meant.
   */
  RefusalAcknowledged: z.object({
    by: PersonName,
    why: z.string().min(1),
    /** The sha256 is that of the message's leaf in the log's tree: it binds subject, signature and bytes. */
    messages: z
      .array(z.object({ sequence: z.int().min(1), sha256: Sha256 }))
      .min(1)
      .max(mostAcknowledged),
  }),
} as const;

/** The facts about a step. The coordinator writes Requested and Superseded, the host writes the others. */
export const stepFacts = ['Requested', 'Succeeded', 'Failed', 'Superseded'] as const;
export type StepFact = (typeof stepFacts)[number];

export type StepEventType<Name extends StepName = StepName> = `${Capitalize<Name>}${StepFact}`;
export type IterationEventType = keyof typeof iterationEvents;
export type FleetEventType = keyof typeof fleetEvents;
export type EventType = StepEventType | IterationEventType | FleetEventType;

const capitalize = <Name extends string>(text: Name) =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}` as Capitalize<Name>;

/** `build`, `Requested` → `BuildRequested`. */
export const stepEventType = (step: StepName, fact: StepFact): StepEventType => `${capitalize(step)}${fact}`;

/** The shape of `data` of one step's fact. */
export const stepEventData = {
  Requested: <Name extends StepName>(step: Name) =>
    z.object({ host: HostName, request: steps[step].request as z.ZodObject, needs: Needs.optional() }),
  Succeeded: <Name extends StepName>(step: Name) =>
    z.object({ evidence: steps[step].evidence as z.ZodObject, seconds: z.number() }),
  Failed: (_step: StepName) => Failure,
  Superseded: (_step: StepName) =>
    z.object({
      host: HostName,
      reason: SupersededReason,
      /** True if the same host is asked once more and no host counts as having failed. */
      again: z.boolean().optional(),
    }),
} as const;

const stepTypes = new Map<string, { step: StepName; fact: StepFact; data: z.ZodType }>(
  stepNames.flatMap((step) =>
    stepFacts.map(
      (fact) => [stepEventType(step, fact), { step, fact, data: opened(stepEventData[fact](step)) }] as const,
    ),
  ),
);

/** CloudEvents 1.0 in structured JSON. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md */
export const Envelope = z.object({
  specversion: z.literal('1.0'),
  /** `<iteration>.<type>.<attempt>`; with `source`, unique for ever. */
  id: z.string(),
  source: z.string(),
  type: z.string(),
  subject: z.string(),
  /** An event counts only in its own fleet, even if two fleets share a key. */
  fleet: FleetName,
  /** For people. The stream's order is the only order. */
  time: z.iso.datetime(),
  iteration: z.union([IterationName, z.literal(noIteration)]),
  attempt: z.int().min(1),
  /** The log's epoch, counted from 1 and absent in the first: a log that was lost and restored begins a new one. */
  epoch: z.int().min(2).optional(),
  /** In a request of a later epoch: the operator's event that began it. Hosts believe nobody else about an epoch. */
  restored: SignedEvent.optional(),
  /** `<source>/<id>` of the event that this one answers. */
  causationid: z.string().optional(),
  /** Counts this writer's own events, from 1. */
  writerseq: z.int().min(1),
  /** sha256 of this writer's previous event; absent on its first. */
  prevhash: Sha256.optional(),
  data: z.unknown(),
});
export type Envelope = z.infer<typeof Envelope>;

export type StepRequestedData<Name extends StepName> = {
  host: string;
  request: StepRequest<Name>;
  needs?: Needs | undefined;
};
export type StepSucceededData<Name extends StepName> = { evidence: StepEvidence<Name>; seconds: number };

type StepSupersededData = z.infer<ReturnType<(typeof stepEventData)['Superseded']>>;

type Of<Kind, Type, Data> = Omit<Envelope, 'type' | 'data'> & { kind: Kind; type: Type; data: Data };

export type IterationEvent = {
  [Type in IterationEventType]: Of<'iteration', Type, Opened<z.infer<(typeof iterationEvents)[Type]>>>;
}[IterationEventType];
export type FleetEvent = {
  [Type in FleetEventType]: Of<'fleet', Type, Opened<z.infer<(typeof fleetEvents)[Type]>>>;
}[FleetEventType];
export type StepEvent = {
  [Name in StepName]:
    | (Of<'step', string, StepRequestedData<Name>> & { step: Name; fact: 'Requested' })
    | (Of<'step', string, StepSucceededData<Name>> & { step: Name; fact: 'Succeeded' })
    | (Of<'step', string, Opened<Failure>> & { step: Name; fact: 'Failed' })
    | (Of<'step', string, Opened<StepSupersededData>> & {
        step: Name;
        fact: 'Superseded';
      });
}[StepName];
/**
 * An event of a type that this version does not know, or with a part that is missing. A reader passes it on and folds
 * nothing from it. `lacks`: the values that the event has put aside and that could not be read.
 */
export type UnknownEvent = Of<'unknown', string, unknown> & { lacks?: readonly BlobMarker[] };
export type KaEvent = IterationEvent | FleetEvent | StepEvent | UnknownEvent;

const noBlobs: BlobLookup = () => undefined;

/** Returns an event's envelope with the values that it has put aside in their places, or those that are missing. */
const wholeEnvelope = (envelope: Envelope, blobs: BlobLookup): Envelope | BlobMarker[] => {
  const found = withBlobs(envelope.data, blobs);
  if ('data' in found && found.data === envelope.data) return envelope;
  // Keys and the log's epoch follow from events of the whole fleet, and have to be known at once.
  if (envelope.iteration === noIteration) throw new Error('an event of the whole fleet puts nothing aside');
  return 'data' in found ? { ...envelope, data: found.data } : found.lacks;
};

/**
 * Reads an event's exact bytes.
 * @param blobs finds what the event has put aside. If any of it is missing, the event is returned as unknown, with
 * `lacks`.
 * @throws {SyntaxError} if the bytes are not JSON. @throws {z.ZodError} if the envelope or a known type's data don't
 * fit.
 */
export const parseEvent = (bytes: Uint8Array, blobs: BlobLookup = noBlobs): KaEvent => {
  const small = Envelope.parse(JSON.parse(new TextDecoder().decode(bytes)));
  const envelope = mayNameBlobs(bytes) ? wholeEnvelope(small, blobs) : small;
  if (Array.isArray(envelope))
    return { ...small, kind: 'unknown', data: Shallow.parse(small.data), lacks: envelope };
  const { type } = envelope;
  const ofStep = stepTypes.get(type);
  if (ofStep) {
    const { step, fact, data } = ofStep;
    return { ...envelope, kind: 'step', step, fact, data: data.parse(envelope.data) } as StepEvent;
  }
  if (Object.hasOwn(iterationEvents, type)) {
    const data = opened(iterationEvents[type as IterationEventType] as z.ZodType).parse(envelope.data);
    return { ...envelope, kind: 'iteration', type, data } as IterationEvent;
  }
  if (Object.hasOwn(fleetEvents, type)) {
    const data = opened(fleetEvents[type as FleetEventType] as z.ZodType).parse(envelope.data);
    return { ...envelope, kind: 'fleet', type, data } as FleetEvent;
  }
  return { ...envelope, kind: 'unknown', data: Shallow.parse(envelope.data) };
};

/** An event with its place in the log. */
export interface LoggedEvent {
  /** The stream's sequence: the only order there is. */
  sequence: number;
  subject: string;
  bytes: Uint8Array;
  /** The writer's signature, base64; absent in histories that were recorded without signatures. */
  signature?: string;
  event: KaEvent;
  /**
   * The data as its writer wrote it, with the values that were put aside in their places; absent if `bytes` holds all
   * of it.
   */
  whole?: unknown;
}

interface StepData<Name extends StepName> {
  Requested: StepRequestedData<Name>;
  Succeeded: StepSucceededData<Name>;
  Failed: Failure;
  Superseded: StepSupersededData;
}

/** The data of each type of event, as its writer writes it. */
export type EventData = {
  [Type in IterationEventType]: z.output<(typeof iterationEvents)[Type]>;
} & {
  [Type in FleetEventType]: z.output<(typeof fleetEvents)[Type]>;
} & {
  [Name in StepName as `${Capitalize<Name>}Requested`]: StepData<Name>['Requested'];
} & {
  [Name in StepName as `${Capitalize<Name>}Succeeded`]: StepData<Name>['Succeeded'];
} & {
  [Name in StepName as `${Capitalize<Name>}Failed`]: StepData<Name>['Failed'];
} & {
  [Name in StepName as `${Capitalize<Name>}Superseded`]: StepData<Name>['Superseded'];
};

/** What an event belongs to. */
export interface EventHead {
  iteration: string;
  attempt: number;
  causationid?: string;
  /** The host that a request or its supersession is for. */
  host?: string;
}

/**
 * An event that is about to be written: the envelope without what its writer adds. The data has the shape of its type.
 */
export type NewEvent<Type extends EventType = EventType> = {
  [Each in Type]: EventHead & { type: Each; data: EventData[Each] };
}[Type];

/** An event as some version wrote it: its data has not been checked against its type. */
export interface UntypedEvent extends EventHead {
  type: string;
  data: unknown;
}

/** Makes a new event of a step. The type fits the step's data, which the compiler can't see; hence the cast. */
export const stepEvent = <Name extends StepName, Fact extends StepFact>(
  step: Name,
  fact: Fact,
  head: EventHead,
  data: StepData<Name>[Fact],
): NewEvent => ({ ...head, type: stepEventType(step, fact), data }) as NewEvent;

/** `ka.<fleet>.<writer>.<iteration>.<Type>.<n>[.<host>]`: one subject names one fact. */
export const subjectOf = (
  fleet: string,
  writer: string,
  { iteration, type, attempt, host }: Omit<UntypedEvent, 'data'>,
): string =>
  ['ka', FleetName.parse(fleet), writer, iteration, type, String(attempt), ...(host ? [host] : [])].join('.');

/** The parts of a subject that {@link subjectOf} makes. `host` is absent if the event is for no host in particular. */
export interface SubjectParts {
  fleet: string;
  writer: string;
  iteration: string;
  /** It may be one that this version does not know. */
  type: string;
  attempt: number;
  host?: string;
}

const subjectPattern = /^ka\.([^.]+)\.([^.]+)\.([^.]+)\.([^.]+)\.([1-9]\d{0,14})(?:\.(.+))?$/;

/** Reads what {@link subjectOf} made; undefined if it is not the subject of an event. */
export const parseSubject = (subject: string): SubjectParts | undefined => {
  const [, fleet, writer, iteration, type, attempt, host] = subjectPattern.exec(subject) ?? [];
  if (!fleet || !writer || !iteration || !type) return undefined;
  const parts = { fleet, writer, iteration, type, attempt: Number(attempt) };
  return host === undefined ? parts : { ...parts, host };
};

/** Whose a message is by its subject, for people; `nobody` if that is not the subject of an event. */
export const writerIn = (subject = ''): string => parseSubject(subject)?.writer ?? 'nobody';
