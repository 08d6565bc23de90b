import { expect, onTestFinished } from 'vitest';
import { openSession } from '../../coordinator/commands/session.ts';
import { sealDecided } from '../../coordinator/daemon/seal-decided.ts';
import { treesToApprove } from '../../coordinator/decider/graph.ts';
import { requestFor } from '../../coordinator/decider/requests.ts';
import { connectNats } from '../../eventlog/connection/connect.ts';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { readKeyFile } from '../../eventlog/signing/key-file.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { appendEvent } from '../../eventlog/stream/event-log.ts';
import { OperatorConfig } from '../../schemas/config.ts';
import { coordinator, stepEvent } from '../../schemas/events.ts';
import type { SignedEvent } from '../../schemas/signed-event.ts';
import { iterationUnderWay } from '../faults/iteration-under-way.ts';
import { planVariant } from '../plan-variant.ts';
import { approver, startTestFleet, type TestFleet } from '../test-fleet.ts';
import { attack } from './attack.ts';

/** With the coordinator's key: a landing with these approvals, which the coordinator itself would not ask for. */
const askToLand = async (
  { places }: TestFleet,
  name: string,
  approvalsOf: (
    key: ReturnType<typeof readKeyFile>,
    iteration: NonNullable<ReturnType<typeof find>>,
  ) => SignedEvent[],
) => {
  const session = await openSession(places.operatorConfig);
  const keyFile = places.keyFile(coordinator);
  const { nats } = readConfigFile(places.operatorConfig, OperatorConfig);
  const connection = await connectNats({ ...nats, keyFile, name: coordinator });
  try {
    const { state } = await session.read();
    const iteration = find(state, name);
    if (!iteration) throw new Error(`there is no ${name}`);
    const key = readKeyFile(keyFile);
    const asked = requestFor(iteration, 'land');
    if (!asked.approved) throw new Error('the start was not signed');
    const request = { ...asked, approved: { ...asked.approved, approvals: approvalsOf(key, iteration) } };
    const attempt = iteration.attempts.land.length + 1;
    const head = { iteration: name, attempt, host: 'boltzmann', causationid: iteration.last.eventId };
    const event = stepEvent('land', 'Requested', head, { host: 'boltzmann', request });
    const own = { fleet: session.fleet.fleet, name: coordinator, key };
    await appendEvent(connection, sealDecided(event, own, state), await session.log.lastSequence());
  } finally {
    await connection.close();
    await session.close();
  }
};
const find = (
  state: Awaited<ReturnType<Awaited<ReturnType<typeof openSession>>['read']>>['state'],
  name: string,
) => state.iterations.get(name);

attack(
  'landing-without-approval',
  'a coordinator that was taken over lands nothing that people have not approved',
  async () => {
    const fleet = await startTestFleet('attack-land');
    onTestFinished(() => fleet.remove());
    const underWay = iterationUnderWay(
      fleet,
      await planVariant(fleet.folder, { iteration: 'early' }),
      'early',
    );
    await underWay.start();
    await underWay.event('ReviewRequested');
    const { heads } = await fleet.world();

    await askToLand(fleet, 'early', () => []);
    expect((await underWay.event('LandFailed')).data).toMatchObject({
      fault: 'work',
      reason: expect.stringContaining('Nobody has approved'),
      begun: [],
    });
    await underWay.event('IterationFailed');
    await fleet.ka('retry', 'early');
    await underWay.event('RetryAccepted');

    await askToLand(fleet, 'early', (key, iteration) => {
      const trees = treesToApprove(iteration) ?? [];
      const { board } = iteration.plan;
      const { planSha256 } = iteration;
      const expires = '2099-01-01T00:00:00Z';
      const data = { by: approver, note: '', board, planSha256, trees, expires };
      const approval = { type: 'ReviewApproved', iteration: 'early', attempt: 1, data };
      const forged = { fleet: 'sandbox', name: `@${approver}`, key };
      const { bytes, signature } = sealEvent(approval, forged, undefined, '2026-01-01T00:00:00Z');
      return [{ writer: `@${approver}`, bytes: Buffer.from(bytes).toString('base64'), signature }];
    });
    expect((await underWay.event('LandFailed', 2)).data).toMatchObject({
      fault: 'work',
      reason: expect.stringContaining(`its signature is not @${approver}'s`),
      begun: [],
    });
    expect((await fleet.world()).heads).toEqual(heads);
  },
  600_000,
);
