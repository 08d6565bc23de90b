import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers, type MsgHdrs, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { openAttemptsOf } from '../../coordinator/decider/state.ts';
import { type PlayedFleet, startPlayedFleet } from '../../coordinator/testing/played-fleet.ts';
import { createOutputs } from '../../eventlog/live/output.ts';
import { createSayPresent, type Presence } from '../../eventlog/live/presence.ts';
import { signatureHeader } from '../../eventlog/signing/check-event.ts';
import { payloadTypes } from '../../eventlog/signing/writer-key.ts';
import { logManager, outputStream, presenceStream } from '../../eventlog/stream/provision.ts';
import { ka } from '../ka.ts';
import { people } from '../log-server.ts';
import { attack } from './attack.ts';

const iteration = 'iter5';
const builder = 'boltzmann';

describe('a log server that was taken over', () => {
  let played: PlayedFleet;
  let admin: NatsConnection;
  let wire: NatsConnection;
  let config: string;
  beforeAll(async () => {
    played = await startPlayedFleet();
    const { log } = played;
    config = join(log.folder, 'config.yaml');
    const [name] = people;
    const identities = { [name]: log.keyFile(`@${name}`) };
    const nats = { servers: [log.server.url] };
    writeFileSync(config, JSON.stringify({ nats, fleetFile: log.fleetFile, identities }));
    [admin, wire] = [await log.connect('admin'), await log.connect(builder)];
    await played.start(iteration);
    const one = await played.startCoordinator();
    await played.play(
      iteration,
      ({ iterations }) => {
        const known = iterations.get(iteration);
        return known !== undefined && openAttemptsOf(known).some(({ step }) => step === 'preflight');
      },
      { evidenceOf: () => expect.unreachable(), append: async () => expect.unreachable() },
    );
    await one.stop();
  });
  afterAll(() => played?.stop());

  /** Whoever has the server can put anything into its streams. Here the login of the stream's subject does it. */
  const put = async (subject: string, data: Uint8Array, signature: string) => {
    const head = headers();
    head.set(signatureHeader, signature);
    wire.publish(subject, data, { headers: head });
    await wire.flush();
  };
  const copyOf = async (stream: string, subject: string): Promise<{ data: Uint8Array; header: MsgHdrs }> => {
    await wire.flush();
    return (await logManager(admin)).streams.getMessage(stream, { last_by_subj: subject });
  };
  const presence = (time = Date.now()): Presence => ({
    ...{ host: builder, role: 'builder', bootId: 'b', release: 'r', package: null, running: null, unsent: 0 },
    time: new Date(time).toISOString(),
  });
  const fleetNow = async () => {
    const { stdout, stderr } = await ka(['fleet', '--json', '--config', config]);
    const { hosts } = JSON.parse(stdout) as { hosts: { host: string; present: boolean; running: string }[] };
    return { own: hosts.find(({ host }) => host === builder), stderr };
  };
  const shown = async () => {
    const ran = await ka(['output', iteration, 'preflight', '--config', config]);
    return { lines: ran.stdout.split('\n').filter((line) => line !== ''), stderr: ran.stderr.split('\n') };
  };

  attack(
    'false-word',
    'shows no presence that its host has not signed, and none as newer than it is',
    async () => {
      const subject = `ka-presence.${played.log.fleet.fleet}.${builder}`;
      const { fleet } = played.log.fleet;
      const key = played.log.key(builder);
      createSayPresent({ fleet, key })(wire, presence(Date.now() - 3_600_000));
      const { data, header } = await copyOf(presenceStream, subject);
      await put(subject, data, header.get(signatureHeader));
      const old = await fleetNow();
      expect(old.own).toMatchObject({ present: false });
      expect(old.stderr).toContain('the server shows an old presence');

      const made = new TextEncoder().encode(
        JSON.stringify({ ...presence(), fleet, run: 'x', count: 1, running: 'iter5 build 1' }),
      );
      for (const signature of [
        '',
        played.log.key('hertz').sign(payloadTypes.presence, made),
        key.sign(payloadTypes.event, made),
        key.sign(payloadTypes.output, made),
      ]) {
        await put(subject, made, signature);
        const forged = await fleetNow();
        expect(forged.own).toMatchObject({ present: false, running: null });
        expect(forged.stderr).toContain(
          `ALARM: the presence of ${builder}: its signature is not ${builder}'s`,
        );
      }
      createSayPresent({ fleet, key })(wire, presence());
      await wire.flush();
      expect(await fleetNow()).toMatchObject({ own: { present: true }, stderr: '' });
    },
  );

  attack(
    'false-word',
    'shows no output that its host has not signed, and none in another place',
    async () => {
      const { fleet } = played.log.fleet;
      const at = (attempt: number, step = 'preflight', of = iteration) =>
        `ka-out.${fleet}.${builder}.${of}.${step}.${attempt}`;
      const outputs = createOutputs({
        ...{ fleet, host: builder, key: played.log.key(builder), connected: () => wire, after: () => 1 },
      });
      const { write, end } = outputs({ iteration, step: 'preflight', attempt: 1 });
      const copies: { data: Uint8Array; header: MsgHdrs }[] = [];
      for (const line of ['one', 'two', 'three']) {
        write(line);
        end();
        copies.push(await copyOf(outputStream, at(1)));
      }
      const other = outputs({ iteration: 'iter4', step: 'build', attempt: 1 });
      other.write('of another attempt');
      other.end();
      copies.push(await copyOf(outputStream, at(1, 'build', 'iter4')));
      for (const { data, header } of copies)
        for (const subject of [at(1), at(2)]) await put(subject, data, header.get(signatureHeader));
      const [first] = copies;
      const changed = Buffer.from(
        Buffer.from(first?.data ?? [])
          .toString()
          .replace('one', 'won'),
      );
      await put(at(1), changed, first?.header.get(signatureHeader) ?? '');

      const { lines, stderr } = await shown();
      expect(lines).toEqual(['one', 'two', 'three']);
      // A line for each cause, and not one for each message.
      expect(stderr.filter((line) => line.includes('ALARM'))).toHaveLength(3);
      expect(stderr.join('\n')).toMatch(/ALARM: 3 messages of boltzmann, sequence \d+ to \d+/);
    },
  );

  attack('false-word', 'shows no output of a host that is not asked', async () => {
    const { fleet } = played.log.fleet;
    const before = await shown();
    const board = await played.wire('fresnel');
    const { write, end } = createOutputs({
      ...{ fleet, host: 'fresnel', key: played.log.key('fresnel'), connected: () => board, after: () => 1 },
    })({ iteration, step: 'preflight', attempt: 1 });
    for (let n = 0; n < 5_000; n += 1) write('noise');
    end();
    await board.flush();
    const { lines, stderr } = await shown();
    expect(lines).toEqual(before.lines);
    expect(stderr.filter((line) => line.includes('fresnel is not the host that is asked'))).toHaveLength(1);
  });
});
