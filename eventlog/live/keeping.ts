import type { NatsConnection, StoredMsg } from 'nats';
import { z } from 'zod';
import type { Fleet } from '../../schemas/fleet.ts';
import { FleetName } from '../../schemas/names.ts';
import { readJson } from '../files/read-json.ts';
import { signatureHeader } from '../signing/check-event.ts';
import { isSignedBy, payloadTypes, type WriterKey } from '../signing/writer-key.ts';
import { logManager, presenceStream, presenceSubject } from '../stream/provision.ts';
import { publishSigned } from './signed-message.ts';

/** The keeper's name at the log's server. No host has it. */
export const keeper = 'keeper';

/** A writer that may not publish, since when, and what it has added. */
export const Silenced = z.object({ writer: z.string(), since: z.iso.datetime(), why: z.string().max(500) });
export type Silenced = z.infer<typeof Silenced>;

/** What the keeper of the log shows, signed by it. */
const Keeping = z.object({ fleet: FleetName, time: z.iso.datetime(), silenced: z.array(Silenced) });

export const keepingEveryMs = 10_000;
/** A keeper that was not heard for so long does not work. */
const silentAfterMs = 60_000;

/** Publishes who is silenced. */
export const sayKeeping = (
  connection: NatsConnection,
  { fleet, key }: { fleet: string; key: WriterKey },
  silenced: readonly Silenced[],
): void => {
  if (connection.isClosed()) return;
  const said = { fleet, time: new Date().toISOString(), silenced };
  publishSigned(connection, { type: payloadTypes.keeping, key }, presenceSubject(fleet, keeper), said);
};

/** Who is silenced by the keeper's last word, and why that word is not to be relied upon. */
export interface LastKeeping {
  silenced: Silenced[];
  doubt?: string;
}

/** The keeper's last word; undefined if the fleet has no keeper. @throws if the server does not answer. */
export const lastKeeping = async (
  connection: NatsConnection,
  { fleet, keeper: pinned }: Pick<Fleet, 'fleet' | 'keeper'>,
  now = Date.now(),
): Promise<LastKeeping | undefined> => {
  if (!pinned) return undefined;
  const subject = presenceSubject(fleet, keeper);
  let message: StoredMsg;
  try {
    const manager = await logManager(connection);
    message = await manager.streams.getMessage(presenceStream, { last_by_subj: subject });
  } catch {
    return { silenced: [], doubt: 'the keeper of the log was never heard: nobody watches who floods it' };
  }
  const { data, header, subject: under } = message;
  const said = readJson(Keeping, data);
  const isIts = isSignedBy(pinned.publicKey, payloadTypes.keeping, data, header.get(signatureHeader));
  if (!isIts || said?.fleet !== fleet || under !== subject)
    return { silenced: [], doubt: 'what the log’s server shows of the keeper is not the keeper’s word' };
  const age = now - Date.parse(said.time);
  return Math.abs(age) <= silentAfterMs
    ? { silenced: said.silenced }
    : {
        silenced: said.silenced,
        doubt: `the keeper of the log was last heard at ${said.time}, by its own clock: nobody watches who floods the log`,
      };
};
