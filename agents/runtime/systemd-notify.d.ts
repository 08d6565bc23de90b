declare module 'systemd-notify' {
  /** Runs the `systemd-notify` program. Rejects with what it printed if it fails. */
  export default function notify(options: {
    ready?: boolean;
    status?: string;
    pid?: number;
  }): Promise<unknown>;
}
