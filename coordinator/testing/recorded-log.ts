import type { KeptMessage } from '../../eventlog/signing/check-event.ts';
import { linkTo, sealEvent } from '../../eventlog/signing/seal.ts';
import type { WriterKey } from '../../eventlog/signing/writer-key.ts';
import { logOrigin, signCheckpoint } from '../../eventlog/tree/checkpoint.ts';
import { LogTree } from '../../eventlog/tree/log-tree.ts';
import { coordinator, noIteration, type UntypedEvent } from '../../schemas/events.ts';
import type { LogHeader } from '../export/event-records.ts';
import { exampleFleet } from './example-plan.ts';
import { testKey } from './test-key.ts';

const { fleet } = exampleFleet;
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/** A log as the server would hold it: every message signed with its writer's key, in one chain per writer. */
export class RecordedLog {
  readonly messages: KeptMessage[] = [];
  readonly #chains = new Map<string, { seq: number; hash: string }>();
  readonly #keys = new Map<string, WriterKey>();
  readonly #told = new Map<string, number>();
  readonly #tree = new LogTree();
  epoch = 1;

  keyOf(writer: string): WriterKey {
    return this.#keys.get(writer) ?? testKey(writer);
  }

  /** Makes the writer sign with this key from now on. */
  use(writer: string, key: WriterKey): void {
    this.#keys.set(writer, key);
  }

  /** The event as its writer would seal it now. */
  seal(writer: string, event: UntypedEvent, sequence = this.messages.length + 1): KeptMessage {
    const author = { fleet, name: writer, key: this.keyOf(writer), epoch: this.epoch };
    const time = new Date(Date.UTC(2026, 4, 11) + sequence * 1000).toISOString();
    const { subject, bytes, signature } = sealEvent(event, author, this.#chains.get(writer), time);
    return { sequence, subject, bytes, signature };
  }

  append(writer: string, event: UntypedEvent): KeptMessage {
    const message = this.seal(writer, event);
    const seq = (this.#chains.get(writer)?.seq ?? 0) + 1;
    this.#chains.set(writer, linkTo(seq, message.bytes));
    this.messages.push(message);
    this.#tree.add(message);
    return message;
  }

  /** Appends a checkpoint over the log so far, as the coordinator tells it to a host. */
  checkpoint(host: string, attempt: number, change: object = {}): KeptMessage {
    const { size } = this.#tree;
    const from = this.#told.get(`${this.epoch}.${host}`) ?? 0;
    this.#told.set(`${this.epoch}.${host}`, size);
    const data = {
      host,
      size,
      root: base64(this.#tree.rootAt(size)),
      note: this.note(),
      from,
      proof: this.#tree.consistencyProof(from, size).map(base64),
      ...change,
    };
    return this.append(coordinator, { type: 'Checkpointed', iteration: noIteration, attempt, host, data });
  }

  /** The coordinator's checkpoint over the first `size` messages. */
  note(size = this.#tree.size): string {
    const head = { size, root: this.#tree.rootAt(size) };
    return signCheckpoint(logOrigin(fleet, this.epoch), head, this.keyOf(coordinator));
  }

  header(): LogHeader {
    return { fleet, epoch: this.epoch, size: this.#tree.size, note: this.note() };
  }
}

/** A log of six short events, with a checkpoint in the middle. */
export const smallLog = (): RecordedLog => {
  const log = new RecordedLog();
  const say = (writer: string, type: string, data: object) =>
    log.append(writer, { type, iteration: 'iter5', attempt: 1, data });
  const data = { role: 'board', version: '1', bootId: 'b', release: 'r', package: null };
  log.append('fresnel', { type: 'AgentStarted', iteration: noIteration, attempt: 1, data });
  say('@mfritsche', 'RetryAsked', { by: 'mfritsche' });
  log.checkpoint('fresnel', 1);
  say('fresnel', 'LaterThanThis', {});
  say('@mfritsche', 'AbortAsked', { by: 'mfritsche', why: '' });
  say('hertz', 'LaterThanThis', {});
  return log;
};
