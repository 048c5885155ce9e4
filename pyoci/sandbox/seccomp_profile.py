"""Docker's list of allowed system calls, as numbers.

The facts are those of moby's default profile (profiles/seccomp/default.json) for a container with docker's 14
capabilities. `ALLOWED` is the list by name; `RANGES` is what the names are on each architecture, worked out beforehand
so that no table of names has to be loaded to run a process. The tests work it out again with libseccomp.
"""

from __future__ import annotations

from pyoci.sandbox.syscall_numbers import AARCH64, ARM, I386, X86_64

__all__ = ["ALLOWED", "ALLOWED_ON", "CLONE_NAMESPACES", "CONDITIONAL", "HIGHEST", "PERSONALITIES", "RANGES", "SOCKETS"]

_NAMES = """
_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32
chroot clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32
geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt
gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl
ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32
lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr
lsm_get_self_attr lsm_list_modules lsm_set_self_attr lstat lstat64 madvise map_shadow_stack membarrier memfd_create
memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify
mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget
msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause
pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64
preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg
remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile
sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid
setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid
setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr
setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall
socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo
tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill
truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork
vmsplice wait4 waitid waitpid write writev
"""

ALLOWED = frozenset(_NAMES.split())
"""Allowed with any arguments, on every architecture that has them."""

ALLOWED_ON = {
    X86_64: ("arch_prctl", "modify_ldt"),
    I386: ("arch_prctl", "modify_ldt"),
    AARCH64: (),
    ARM: ("arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls"),
}
"""Further ones of single architectures."""

CONDITIONAL = {
    X86_64: {"clone": 56, "clone3": 435, "personality": 135, "socket": 41},
    I386: {"clone": 120, "clone3": 435, "personality": 136, "socket": 359},
    AARCH64: {"clone": 220, "clone3": 435, "personality": 92, "socket": 198},
    ARM: {"clone": 120, "clone3": 435, "personality": 136, "socket": 281},
}
"""Allowed with some arguments: clone without new namespaces; clone3 "does not exist", since its arguments cannot be
seen and the C library then uses clone; personality and socket with the values below."""

CLONE_NAMESPACES = 0x7E02_0000
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFF_FFFF)
SOCKETS = ((1, 37), (39, 39), (41, 45))
"""Address families: all but AF_ALG (38) and AF_VSOCK (40), which reach kernel and hypervisor rather than a network."""

HIGHEST = 466
"""The last number that the list was made for. Newer calls "do not exist" (ENOSYS) rather than being forbidden (EPERM),
so that the C library falls back to older ones."""

# fmt: off
RANGES: dict[int, tuple[tuple[int, int], ...]] = {
    X86_64: (
        (0, 40), (42, 55), (57, 102), (104, 133), (137, 138), (140, 152), (154, 154), (157, 162), (186, 211),
        (213, 226), (228, 235), (240, 245), (247, 247), (251, 255), (257, 271), (273, 278), (280, 297), (299, 299),
        (301, 303), (305, 307), (309, 311), (314, 319), (322, 322), (324, 335), (424, 424), (434, 434), (436, 437),
        (439, 439), (441, 441), (444, 449), (451, 466),
    ),
    I386: (
        (0, 16), (19, 20), (23, 24), (26, 27), (29, 30), (33, 33), (36, 43), (45, 47), (49, 50), (54, 55), (57, 57),
        (60, 61), (63, 66), (70, 71), (75, 78), (80, 83), (85, 85), (90, 97), (99, 100), (102, 102), (104, 108),
        (114, 114), (116, 119), (122, 126), (132, 133), (138, 148), (150, 165), (168, 168), (170, 187), (190, 216),
        (218, 221), (224, 250), (252, 252), (254, 263), (265, 272), (277, 282), (284, 284), (289, 293), (295, 309),
        (311, 316), (318, 335), (337, 337), (339, 341), (343, 345), (347, 348), (351, 356), (358, 358), (360, 373),
        (375, 386), (393, 403), (405, 414), (416, 424), (434, 434), (436, 437), (439, 439), (441, 441), (444, 449),
        (451, 466),
    ),
    AARCH64: (
        (0, 17), (19, 38), (43, 57), (59, 59), (61, 88), (90, 91), (93, 96), (98, 103), (107, 111), (113, 115),
        (117, 141), (143, 160), (163, 169), (171, 197), (199, 216), (221, 223), (226, 234), (240, 240), (242, 243),
        (260, 261), (263, 264), (266, 267), (269, 271), (274, 279), (281, 281), (283, 293), (424, 424), (434, 434),
        (436, 437), (439, 439), (441, 441), (444, 449), (451, 466),
    ),
    ARM: (
        (0, 6), (8, 12), (14, 16), (19, 20), (23, 24), (26, 26), (29, 29), (33, 33), (36, 43), (45, 47), (49, 50),
        (54, 55), (57, 57), (60, 61), (63, 66), (70, 71), (75, 75), (77, 78), (80, 81), (83, 83), (85, 85),
        (91, 97), (99, 100), (104, 108), (114, 114), (116, 116), (118, 119), (122, 122), (124, 126), (132, 133),
        (138, 148), (150, 165), (168, 168), (170, 187), (190, 217), (219, 221), (224, 248), (250, 253), (256, 261),
        (263, 270), (274, 280), (282, 308), (312, 312), (314, 318), (322, 336), (338, 343), (345, 346), (348, 363),
        (365, 366), (368, 370), (372, 374), (376, 377), (380, 385), (387, 387), (389, 399), (403, 403), (405, 414),
        (416, 424), (434, 434), (436, 437), (439, 439), (441, 441), (444, 446), (448, 449), (451, 466),
        (983041, 983042), (983045, 983045),
    ),
}
# fmt: on
"""First and last number of every run of allowed calls, ascending."""
