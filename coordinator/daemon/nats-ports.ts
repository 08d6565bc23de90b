import { setTimeout as sleep } from 'node:timers/promises';
import { connectedClock, type LogConnection } from '../../eventlog/connection/connect.ts';
import { serverTime } from '../../eventlog/connection/server-time.ts';
import { failpoint } from '../../eventlog/failpoint.ts';
import { listenForPresence } from '../../eventlog/live/presence.ts';
import { trustIn, trustNow } from '../../eventlog/signing/trust.ts';
import { holdsBlob, putBlob } from '../../eventlog/stream/blobs.ts';
import { durablePosition, nextFor, remakeDurable } from '../../eventlog/stream/durables.ts';
import { appendEvent, EventLog } from '../../eventlog/stream/event-log.ts';
import { explainLogError } from '../../eventlog/stream/log-fault.ts';
import { coordinator } from '../../schemas/events.ts';
import type { Fleet } from '../../schemas/fleet.ts';
import type { Clock, CoordinatorPorts } from './ports.ts';

const clockOf = (connection: LogConnection): Clock => {
  const clock = connectedClock(connection);
  return {
    now: clock.now,
    wallClock: Date.now,
    runs: clock.runs,
    losses: clock.losses,
    stop: clock.stop,
    every: (ms, call) => {
      const timer = setInterval(call, ms);
      return () => clearInterval(timer);
    },
    sleep: (ms, signal) => sleep(ms, undefined, { signal }),
  };
};

/** The coordinator's ports over a connection to nats-server. */
export const natsPorts = (
  connection: LogConnection,
  fleetFile: Fleet,
  say: (text: string) => void,
): CoordinatorPorts => {
  const trust = trustIn(fleetFile);
  const log = new EventLog(connection, trust);
  const { fleet } = trust;
  const own = { fleet, writer: coordinator };
  return {
    log: {
      lastSequence: () => log.lastSequence(),
      follow: (reports, onEvent) => log.follow(reports, onEvent),
      append: (sealed, expectedLast) => appendEvent(connection, sealed, expectedLast),
      holdsBlob: (marker) => holdsBlob(connection, own, marker),
      putBlob: (blob) => putBlob(connection, own, blob),
      serverTime: () => serverTime(connection),
      hear: (onPresence, onRefused) =>
        listenForPresence(connection, trustNow(fleetFile), onPresence, onRefused),
      isClosed: () => connection.isClosed(),
    },
    durables: {
      position: (host) => durablePosition(connection, host),
      nextFor: (host, after) => nextFor(connection, fleet, host, after),
      remake: (host, from) => remakeDurable(connection, fleet, host, from),
      explain: (error) => explainLogError(connection, error),
    },
    clock: clockOf(connection),
    say,
    failpoint: (name) => failpoint(coordinator, name),
  };
};
