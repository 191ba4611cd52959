//! Gives the build script of `fastswitch` a library to depend on, so that cargo sees changes (see aya-build).
#![no_std]
