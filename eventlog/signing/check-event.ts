import type { MsgHdrs } from 'nats';
import { z } from 'zod';
import { type BlobLookup, type BlobMarker, withBlobs } from '../../schemas/blob-marker.ts';
import {
  type KaEvent,
  type LoggedEvent,
  noIteration,
  parseEvent,
  parseSubject,
  subjectOf,
} from '../../schemas/events.ts';
import { mayWrite } from '../../schemas/roles.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import type { Trust } from './trust.ts';
import { isSignedBy, payloadTypes } from './writer-key.ts';

/** A message as the log holds it, whether or not it is an event. */
export interface KeptMessage {
  sequence: number;
  subject: string;
  bytes: Uint8Array;
  /** The writer's signature over the bytes; base64. */
  signature: string;
}

/** What is wrong with a message, as a word of this program: the sentence beside it may hold what its writer wrote. */
export type FaultCause =
  | 'subject'
  | 'writer'
  | 'signature'
  | 'shape'
  | 'fleet'
  | 'place'
  | 'right'
  | 'second'
  | 'key'
  | 'lost'
  | 'chain'
  | 'blob';

/** A message in the stream that is not an event of the writer it claims to be from. Nothing is folded from it. */
export interface RefusedMessage {
  sequence: number;
  subject: string;
  cause: FaultCause;
  why: string;
}

/** An event of its writer, and the key of that writer that signed it; or why the message is refused. */
export type Checked = { logged: LoggedEvent; key: string } | { refused: RefusedMessage };

/** The header that carries the writer's signature over the exact bytes, base64. */
export const signatureHeader = 'Ka-Signature';

/** The longest text of a refusal: a hostile writer's names can have any length. */
const longestWhy = 1000;

/** Returns one sentence, even if a hostile writer made a thousand faults. */
const whyUnread = (error: unknown): string => {
  if (!(error instanceof z.ZodError))
    return (error instanceof Error ? error.message : String(error)).slice(0, 200);
  const [first] = error.issues;
  const more = error.issues.length > 1 ? `, and ${error.issues.length - 1} more` : '';
  return `${first?.path.join('.').slice(0, 100)}: ${first?.message.slice(0, 200)}${more}`;
};

/** A subject that can be published to: no wildcard, no empty token. */
const sayable = /^[^\s.*>]+(\.[^\s.*>]+)*$/;

/** The host that an event is for: its subject ends in that name. */
const addresseeOf = (event: KaEvent): string | undefined => {
  if (event.kind === 'step' && (event.fact === 'Requested' || event.fact === 'Superseded'))
    return event.data.host;
  return event.kind === 'fleet' && event.type === 'Checkpointed' ? event.data.host : undefined;
};

/** Why an event does not belong under its subject: the signature covers the bytes, and not the subject. */
const misplaced = (event: KaEvent, subject: string): string | undefined => {
  const { fleet, source, iteration, type, attempt, id } = event;
  if (id !== `${iteration}.${type}.${attempt}` || event.subject !== iteration)
    return `its id is ${id}, and it is ${type}.${attempt} of ${iteration}`;
  if (event.kind !== 'unknown' && (event.kind === 'fleet') !== (iteration === noIteration))
    return `a ${type} does not belong to ${iteration === noIteration ? 'no iteration' : 'an iteration'}`;
  const isFor = addresseeOf(event);
  const own = ['ka', fleet, source, iteration, type, attempt];
  const isOwn =
    subject === [...own, ...(isFor === undefined ? [] : [isFor])].join('.') ||
    (event.kind === 'unknown' && subject.startsWith(`${own.join('.')}.`)); // this version does not know whom it is for
  if (isOwn) return undefined;
  return `it names ${source}'s ${id}${isFor ? ` for ${isFor}` : ''} in ${fleet}, which is not what its subject says`;
};

/** Whether that key has signed the message that is being checked. */
export type HasSigned = (publicKey: string) => boolean;

/**
 * Whether a message is an event of the writer that its subject names: signed by one of that writer's keys, of a type
 * that its role may write, and under the subject of its own fact. It is parsed only once the signature is good. An
 * event that has put something aside lacks it until {@link completeEvent} adds it, so an event has its place in its
 * writer's chain whether or not its blobs can be read.
 * @param hasSigned for callers that have checked the signature before.
 */
export const checkEvent = (
  trust: Trust,
  { sequence, subject, bytes, signature }: KeptMessage,
  hasSigned: HasSigned = (key) => isSignedBy(key, payloadTypes.event, bytes, signature),
): Checked => {
  const refuse = (cause: FaultCause, why: string) => ({
    refused: { sequence, subject, cause, why: why.slice(0, longestWhy) },
  });
  if (!sayable.test(subject)) return refuse('subject', 'no message can have such a subject');
  const writer = parseSubject(subject)?.writer;
  if (writer === undefined) return refuse('subject', 'its subject is not the subject of an event');
  const trusted = trust.writers.get(writer);
  if (trusted === undefined) return refuse('writer', `no key is pinned for the writer "${writer}"`);
  const key = trusted.keys.find(hasSigned);
  if (key === undefined) return refuse('signature', `its signature is not ${writer}'s`);
  let event: KaEvent;
  try {
    event = parseEvent(bytes);
  } catch (error) {
    return refuse('shape', `it can't be read: ${whyUnread(error)}`);
  }
  if (event.fleet !== trust.fleet)
    return refuse('fleet', `it belongs to fleet ${event.fleet}, and this is ${trust.fleet}`);
  const why = misplaced(event, subject);
  if (why !== undefined) return refuse('place', why);
  if (!mayWrite(trusted, event.type)) return refuse('right', `${writer} may not write ${event.type}`);
  return { logged: { sequence, subject, bytes, signature, event }, key };
};

/**
 * Returns an event that {@link checkEvent} accepted, with the values that it has put aside, as far as they are known.
 * @param blobs the blobs that are known by now.
 */
export const completeEvent = (
  logged: LoggedEvent,
  blobs: BlobLookup,
): { logged: LoggedEvent } | { refused: RefusedMessage } => {
  if (lacksOf(logged).length === 0) return { logged };
  const { sequence, subject, bytes } = logged;
  const refuse = (cause: FaultCause, why: string) => ({
    refused: { sequence, subject, cause, why: why.slice(0, longestWhy) },
  });
  try {
    const event = parseEvent(bytes, blobs);
    const why = misplaced(event, subject);
    if (why !== undefined) return refuse('place', why);
    const { data } = JSON.parse(new TextDecoder().decode(bytes)) as { data: unknown };
    const written = withBlobs(data, blobs);
    return { logged: { ...logged, event, ...('data' in written ? { whole: written.data } : {}) } };
  } catch (error) {
    return refuse('shape', `it can't be read: ${whyUnread(error)}`);
  }
};

/** The values that an event has put aside and that are missing. */
export const lacksOf = ({ event }: LoggedEvent): readonly BlobMarker[] =>
  (event.kind === 'unknown' && event.lacks) || [];

/**
 * Like {@link checkEvent}, for an event inside another event. It has no subject and no place in the log, so the subject
 * that it would have is used.
 */
export const checkSignedEvent = (
  trust: Trust,
  { writer, bytes, signature }: SignedEvent,
): { logged: LoggedEvent } | { refused: RefusedMessage } => {
  const refuse = (cause: FaultCause, why: string) => ({
    refused: { sequence: 0, subject: writer, cause, why },
  });
  const raw = Buffer.from(bytes, 'base64');
  const keys = trust.writers.get(writer)?.keys ?? [];
  if (!keys.some((key) => isSignedBy(key, payloadTypes.event, raw, signature)))
    return refuse('signature', `its signature is not ${writer}'s`);
  try {
    const event = parseEvent(raw);
    const addressee = addresseeOf(event);
    const { iteration, type, attempt } = event;
    const own = { iteration, type, attempt, ...(addressee === undefined ? {} : { host: addressee }) };
    return checkEvent(trust, {
      sequence: 0,
      subject: subjectOf(event.fleet, writer, own),
      bytes: raw,
      signature,
    });
  } catch (error) {
    return refuse('shape', `it can't be read: ${whyUnread(error)}`);
  }
};

/** Like {@link checkEvent}, for a message as the server delivers it. */
export const checkMessage = (
  trust: Trust,
  { subject, data, headers }: { subject: string; data: Uint8Array; headers?: MsgHdrs | undefined },
  sequence: number,
): Checked =>
  checkEvent(trust, { sequence, subject, bytes: data, signature: headers?.get(signatureHeader) ?? '' });
