import type { Command } from 'commander';
import pc from 'picocolors';
import { type DiskUse, isPresent, lastPresences } from '../../eventlog/live/presence.ts';
import { printable } from '../../schemas/printable.ts';
import { spokenBytes, spokenSeconds } from '../reading/markdown.ts';
import { type ConfigPlaces, type FleetOptions, print, printJson, withSession } from './options.ts';
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
        const names = Object.keys(fleet.hosts);
        const seen = await lastPresences(connection, fleet.fleet, names);
        const hosts = names.map((host) => {
          const last = seen.get(host);
          const silent = last ? (Date.now() - Date.parse(last.time)) / 1000 : undefined;
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
            lastSeen: last?.time ?? null,
            silentSeconds: silent === undefined ? null : Math.round(silent),
            present: isPresent(silent, grace),
          };
        });
        if (options.json) return printJson({ fleet: fleet.fleet, hosts });
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
                ? pc.red('never')
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
