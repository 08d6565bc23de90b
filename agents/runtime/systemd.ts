import { execa } from 'execa';
import notify from 'systemd-notify';

/** What the agent reports to systemd, if systemd asks for it (`NOTIFY_SOCKET`). Otherwise nothing happens. */
export interface Systemd {
  ready(status: string): void;
  status(status: string): void;
  stopping(): void;
}

const ignore = () => undefined; // a lost status changes nothing for the agent

/**
 * Speaks to systemd through its own `systemd-notify` program, so the unit needs `NotifyAccess=all`. With a watchdog
 * (`WatchdogSec=`), `isAlive` is called twice per interval, and only a yes is passed on. sd_notify(3)
 */
export const createSystemd = (isAlive: () => boolean, signal: AbortSignal): Systemd => {
  if (!process.env.NOTIFY_SOCKET) return { ready: ignore, status: ignore, stopping: ignore };
  const watchdogUs = Number(process.env.WATCHDOG_USEC ?? 0);
  if (watchdogUs > 0) {
    const timer = setInterval(() => {
      if (isAlive()) void execa('systemd-notify', ['WATCHDOG=1'], { reject: false });
    }, watchdogUs / 2000);
    timer.unref();
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  }
  return {
    ready: (status) => void notify({ ready: true, status }).catch(ignore),
    status: (status) => void notify({ status }).catch(ignore),
    stopping: () => void execa('systemd-notify', ['STOPPING=1'], { reject: false }),
  };
};
