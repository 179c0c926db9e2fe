/**
 * A small ext4 of a host's own, on a loop device, mounted where containers are kept: with the units on it or not. It goes
 * with the host: a loop device that was made by mount(8) is let go with its last mount.
 */
import { UNITS, type Stage } from './stage.ts';

const DISK = '/run/disk.img';
const KEPT = '/run/disk.kept';
const PLACE = '/var/lib/containers';
const TMPFILES = '/etc/tmpfiles.d';
const BLOCK = 4096;

export interface SmallDisk {
  /** Takes the host's present state for the one that `restore` gives back; services named here run then. */
  keep(...services: readonly string[]): Promise<void>;
  restore(): Promise<void>;
  /** Fills it until as many blocks or inodes are free, and tells how many really are. */
  leave(unit: Unit, count: number): Promise<number>;
  /** Takes away what `leave` filled it with. */
  free(): Promise<void>;
  /** How many blocks or inodes are free now. */
  left(unit: Unit): Promise<number>;
}

export type Unit = 'blocks' | 'inodes';

export interface DiskOptions {
  readonly mebibytes: number;
  readonly inodes: number;
  /** Whether /etc/systemd/system and /etc/tmpfiles.d are on it as well. */
  readonly withUnits: boolean;
}

/** @throws Error when this machine has no loop device to give */
export async function mountSmallDisk(stage: Stage, options: DiskOptions): Promise<SmallDisk> {
  const { mebibytes, inodes, withUnits } = options;
  let services: readonly string[] = [];
  const mount = `mount -o loop ${DISK} ${PLACE}`;
  const binds = withUnits
    ? `mount --bind ${PLACE}/units ${UNITS}; mount --bind ${PLACE}/tmpfiles ${TMPFILES}`
    : ':';
  const unbind = withUnits ? `umount ${UNITS} ${TMPFILES};` : '';
  await stage.shell(`
    [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
    for i in $(seq 0 63); do [ -e /dev/loop$i ] || mknod /dev/loop$i b 7 $i; done
    truncate -s ${mebibytes}M ${DISK}
    mkfs.ext4 -q -F -b ${BLOCK} -m 0 -N ${inodes} -O ^has_journal ${DISK}
    ${mount}
    mkdir ${PLACE}/units ${PLACE}/tmpfiles
    cp -a ${UNITS}/. ${PLACE}/units; cp -a ${TMPFILES}/. ${PLACE}/tmpfiles
    ${binds}`);
  const stop = (): Promise<string> =>
    stage.shell(
      'systemctl list-units --no-legend --plain "disk-*.service" | while read -r unit rest; do systemctl stop "$unit"; done',
    );
  const left = async (unit: Unit): Promise<number> =>
    Number(await stage.run('stat', '-f', '-c', unit === 'blocks' ? '%f' : '%d', PLACE));
  return {
    left,
    async keep(...names) {
      services = names;
      await stop();
      await stage.shell(`${unbind} umount ${PLACE}; cp --sparse=always ${DISK} ${KEPT}; ${mount}; ${binds}
        rm -rf /run/units /run/tmpfiles; cp -a ${UNITS} /run/units; cp -a ${TMPFILES} /run/tmpfiles`);
      for (const name of services) await stage.run('systemctl', 'start', name);
    },
    async restore() {
      await stop();
      await stage.shell(`${unbind} umount ${PLACE}; cp --sparse=always ${KEPT} ${DISK}; ${mount}; ${binds}
        for name in systemd/system:units tmpfiles.d:tmpfiles; do
          find /etc/\${name%:*} -mindepth 1 -delete; cp -a /run/\${name#*:}/. /etc/\${name%:*}
        done
        systemctl daemon-reload; systemctl reset-failed`);
      for (const name of services) await stage.run('systemctl', 'start', name);
    },
    async leave(unit, count) {
      // Small files hold inodes, one large one holds blocks.
      await stage.shell(
        unit === 'blocks'
          ? `fallocate -l $((($(stat -f -c %f ${PLACE}) - 200) * ${BLOCK})) ${PLACE}/fill
            dd if=/dev/zero of=${PLACE}/fill bs=${BLOCK} oflag=append conv=notrunc 2>/dev/null || true
            sync -f ${PLACE}; truncate -s -$(($1 * ${BLOCK})) ${PLACE}/fill; sync -f ${PLACE}`
          : `mkdir ${PLACE}/fill; free=$(stat -f -c %d ${PLACE})
            seq 1 $((free - $1)) | sed 's|^|${PLACE}/fill/|' | xargs -r touch; sync -f ${PLACE}`,
        String(count),
      );
      return left(unit);
    },
    async free() {
      await stage.shell(`rm -rf ${PLACE}/fill; sync -f ${PLACE}`);
    },
  };
}
