#pragma once
// The engine's version comes from the command line of the compiler here: -DENGINE_MINOR_VERSION=4.
#ifndef ENGINE_MAJOR_VERSION
#define ENGINE_MAJOR_VERSION 5
#endif
#ifndef ENGINE_MINOR_VERSION
#error "say which version: -DENGINE_MINOR_VERSION=0 to 7"
#endif
