import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers } from 'nats';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { type PlayedFleet, startPlayedFleet } from '../../coordinator/testing/played-fleet.ts';
import { signatureHeader } from '../../eventlog/signing/check-event.ts';
import { linkTo, type SealedEvent, sealEvent } from '../../eventlog/signing/seal.ts';
import { eventStream, logManager } from '../../eventlog/stream/provision.ts';
import type { NewEvent } from '../../schemas/events.ts';
import { ka } from '../ka.ts';
import { startKeeper } from '../log-keeper.ts';
import { people, until } from '../log-server.ts';
import { attack } from './attack.ts';

const board = 'ohm';

describe('a board that floods the log', () => {
  let played: PlayedFleet;
  let config: string;
  let keeper: Awaited<ReturnType<typeof startKeeper>>;
  beforeAll(async () => {
    played = await startPlayedFleet({
      boards: [board],
      hasKeeper: true,
      changes: { log: { quota: { bytesPerMinute: 8 * 1024 ** 2, messagesPerMinute: 1_000 } } },
    });
    const { log } = played;
    const nats = { servers: [log.server.url] };
    const [name] = people;
    config = join(log.folder, 'config.yaml');
    writeFileSync(
      config,
      JSON.stringify({ nats, fleetFile: log.fleetFile, identities: { [name]: log.keyFile(`@${name}`) } }),
    );
    keeper = await startKeeper(log);
  });
  afterAll(async () => {
    await keeper?.stop();
    await played?.stop();
  });

  let last: SealedEvent | undefined;
  /** Signed, well linked, of a type that nobody knows. */
  const unknown = (nth: number): SealedEvent => {
    const { fleet } = played.log.fleet;
    const event = {
      type: 'Noted',
      iteration: `made-up-${nth % 500}`,
      attempt: nth,
      data: { x: 'y'.repeat(2_000) },
    };
    last = sealEvent(
      event as unknown as NewEvent,
      { fleet, name: board, key: played.log.key(board) },
      last && linkTo(last.seq, last.bytes),
      '2026-05-11T08:00:00Z',
    );
    return last;
  };

  /** Floods until the server refuses it. @returns after how many milliseconds that was. */
  const flood = async (make: (nth: number) => { subject: string; bytes: Uint8Array; signature: string }) => {
    const wire = await played.log.connect(board);
    const began = performance.now();
    let refusedAfter: number | undefined;
    void (async () => {
      for await (const { permissionContext } of wire.status())
        if (permissionContext) refusedAfter ??= performance.now() - began;
    })();
    for (let nth = 1; refusedAfter === undefined && performance.now() - began < 20_000; nth += 1) {
      const { subject, bytes, signature } = make(nth);
      const head = headers();
      head.set(signatureHeader, signature);
      wire.publish(subject, bytes, { headers: head });
      if (nth % 50 === 0) await wire.flush();
    }
    await wire.close();
    return refusedAfter;
  };
  const held = async () => {
    const manager = await logManager(await played.log.connect('admin'));
    return (await manager.streams.info(eventStream)).state.messages;
  };

  attack(
    'flooded-log',
    'loses its right to publish within seconds, and the others go on',
    async () => {
      const rubbish = Buffer.alloc(60_000, 'x');
      const { fleet } = played.log.fleet;
      const subject = (nth: number) => `ka.${fleet}.${board}.made-up.Noted.${nth}`;
      expect(await flood((nth) => ({ subject: subject(nth), bytes: rubbish, signature: '' }))).toBeLessThan(
        10_000,
      );
      const before = await held();
      const quiet = await played.log.connect(board);
      quiet.publish(subject(999_999), 'more');
      await quiet.flush();
      expect(await held()).toBe(before);
      expect(keeper.said.at(-1)).toMatch(/^ALARM: ohm has added more than 8.0 MiB within a minute/);

      const status = await ka(['status', '--config', config], { NODE_OPTIONS: '--max-old-space-size=192' });
      expect(status).toMatchObject({ exitCode: 0 });
      expect(status.stderr).toContain('ALARM: ohm has added');
      expect(status.stderr).toContain('messages of ohm, sequence 1 to');
      const { silenced } = JSON.parse((await ka(['fleet', '--json', '--config', config])).stdout);
      expect(silenced).toMatchObject([{ writer: board }]);

      await played.start('iter5');
      const one = await played.startCoordinator();
      await played.play('iter5', (state) => state.iterations.get('iter5')?.ended !== undefined);
      await one.stop();
      expect((await played.read()).state.iterations.get('iter5')?.ended?.status).toBe('closed');
    },
    120_000,
  );

  attack(
    'flooded-log',
    'may publish again once a person says so, and a flood of signed events is ended as well',
    async () => {
      const readmitted = await ka(['fleet', 'readmit', board, '--keeper-config', keeper.configFile]);
      expect(readmitted).toMatchObject({ exitCode: 0 });
      const quiet = await played.log.connect(board);
      const { subject, bytes, signature } = unknown(100_000);
      const head = headers();
      head.set(signatureHeader, signature);
      const before = await held();
      await until(async () => {
        quiet.publish(subject, bytes, { headers: head });
        await quiet.flush();
        return (await held()) > before;
      });
      expect(await flood(unknown)).toBeLessThan(10_000);
      const { state } = await played.read();
      expect([...state.iterations.keys()]).toEqual(['iter5']);
      expect(state.early.size).toBe(0);
    },
    120_000,
  );
});
