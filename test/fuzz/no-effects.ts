import childProcess, { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

type Functions = Record<string, (...args: unknown[]) => unknown>;

const writing = [
  ...['appendFile', 'chmod', 'chown', 'copyFile', 'cp', 'lchown', 'link', 'mkdir', 'mkdtemp', 'rename', 'rm'],
  ...['rmdir', 'symlink', 'truncate', 'unlink', 'utimes', 'writeFile'],
];

/** Watches what a process does to the world. */
export interface WatchedEffects {
  /** The refused attempts since the last call. */
  taken(): string[];
  stop(): void;
}

/** In this thread, refuses and notes each program, connection and change to a file outside `folder`. */
export const watchEffects = (folder: string): WatchedEffects => {
  let tried: string[] = [];
  const undo: (() => void)[] = [];
  const refuse = (what: string): never => {
    tried.push(what);
    throw new Error(`refused while fuzzing: ${what}`);
  };
  const guard = (of: object, name: string, allows: (...args: unknown[]) => boolean = () => false) => {
    const functions = of as Functions;
    const before = functions[name];
    if (typeof before !== 'function') return;
    functions[name] = function (this: unknown, ...args: unknown[]) {
      return allows(...args) ? before.apply(this, args) : refuse(`${name} ${String(args[0])}`);
    };
    undo.push(() => {
      functions[name] = before;
    });
  };
  const isOwn = (path: unknown) => String(path).startsWith(`${folder}/`);
  guard(ChildProcess.prototype, 'spawn');
  for (const name of ['spawn', 'spawnSync', 'execFile', 'execFileSync', 'exec', 'execSync', 'fork'])
    guard(childProcess, name);
  guard(net.Socket.prototype, 'connect');
  const { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND } = fs.constants;
  const toWrite = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;
  const isRead = (flags: unknown) =>
    flags === undefined || flags === 'r' || (typeof flags === 'number' && (flags & toWrite) === 0);
  for (const of of [fs, fs.promises])
    for (const name of writing) for (const each of [name, `${name}Sync`]) guard(of, each, isOwn);
  for (const of of [fs, fs.promises])
    for (const name of ['open', 'openSync']) guard(of, name, (path, flags) => isOwn(path) || isRead(flags));
  syncBuiltinESMExports();
  return {
    taken: () => tried.splice(0),
    stop: () => {
      for (const each of undo.reverse()) each();
      tried = [];
      syncBuiltinESMExports();
    },
  };
};
