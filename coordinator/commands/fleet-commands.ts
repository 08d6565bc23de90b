import type { Command } from 'commander';
import pc from 'picocolors';
import { createAlarms } from '../../eventlog/grouped-alarms.ts';
import { type DiskUse, isPresent, lastPresences, silenceOf } from '../../eventlog/live/presence.ts';
import { trustNow } from '../../eventlog/signing/trust.ts';
import { printable } from '../../schemas/printable.ts';
import { spokenBytes, spokenSeconds } from '../reading/markdown.ts';
import { tellKeeping } from './keeping.ts';
import { type ConfigPlaces, type FleetOptions, print, printJson, say, withSession } from './options.ts';
import { columns } from './table.ts';

/** A line for each kind of thing that a host keeps on its disks. */
const keptLines = ({ host, disks }: { host: string; disks: readonly DiskUse[] }): string[][] =>
  disks.map(({ kind, number, bytes, limit }) => [
    host,
    printable(kind),
    `${number}, ${spokenBytes(bytes)}`,
    [
      ...(limit.number === undefined ? [] : [String(limit.number)]),
      ...(limit.bytes === undefined ? [] : [spokenBytes(limit.bytes)]),
      ...(limit.days === undefined ? [] : [`${limit.days} d`]),
    ].join(', '),
  ]);

export const addFleetCommands = (program: Command, places: ConfigPlaces): void => {
  program
    .command('fleet')
    .description('show the hosts: their roles, what they run, when they were last seen')
    .option('--config <file>', "the command line's config")
    .option('--json', 'print one JSON document')
    .action((options: FleetOptions) =>
      withSession(options, places, async ({ connection, fleet }) => {
        const keeping = await tellKeeping({ connection, fleet });
        const names = Object.keys(fleet.hosts);
        const { seen, refused } = await lastPresences(connection, trustNow(fleet), names);
        const hosts = names.map((host) => {
          const last = seen.get(host);
          const silence = last && silenceOf(last);
          const grace = fleet.hosts[host]?.graceSeconds ?? 0;
          return {
            host,
            role: fleet.hosts[host]?.role ?? '',
            release: last?.release ?? null,
            package: last?.package ?? null,
            bootId: last?.bootId ?? null,
            running: last?.running ?? null,
            unsent: last?.unsent ?? null,
            trouble: last?.trouble ?? null,
            disks: last?.disks ?? [],
            lastSeen: silence?.lastSeen ?? null,
            silentSeconds: silence?.silentSeconds ?? null,
            present: silence?.doubt === undefined && isPresent(silence?.silentSeconds, grace),
            doubt: silence?.doubt ?? null,
          };
        });
        const alarms = createAlarms((text) => say(printable(`ka: ${text}`)));
        for (const { host, ...one } of refused)
          alarms.note({ writer: host, what: `the presence of ${host}`, next: 'it is ignored', ...one });
        alarms.tell();
        for (const { doubt } of hosts) if (doubt !== null) say(printable(`ka: ${doubt}`));
        if (options.json)
          return printJson({
            ...{ fleet: fleet.fleet, hosts, refused },
            silenced: keeping?.silenced ?? [],
          });
        print(
          columns(
            ['host', 'role', 'runs', 'doing', 'last seen'],
            hosts.map((host) => [
              host.host,
              host.role,
              printable(host.package ?? host.release ?? ''),
              host.trouble === null
                ? printable(host.running ?? (host.present ? 'idle' : ''))
                : pc.red(printable(host.trouble)),
              host.silentSeconds === null
                ? pc.red(refused.some((one) => one.host === host.host) ? 'refused' : 'never')
                : host.present
                  ? pc.green('now')
                  : pc.red(`${spokenSeconds(host.silentSeconds)} ago`),
            ]),
          ),
        );
        const kept = hosts.flatMap(keptLines);
        if (kept.length > 0) print(`\n${columns(['host', 'keeps', 'there', 'at most'], kept)}`);
      }),
    );
};
