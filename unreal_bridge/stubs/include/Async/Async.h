#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Async/Future.h"
#include "Templates/Function.h"
enum class EAsyncExecution { TaskGraph, TaskGraphMainThread, Thread, ThreadIfForkSafe, ThreadPool };
template <typename F> auto Async(EAsyncExecution, F&& Callable) -> TFuture<decltype(Callable())> { return TFuture<decltype(Callable())>(); }
namespace ENamedThreads { enum Type : int32 { AnyThread, GameThread }; }
void AsyncTask(ENamedThreads::Type, TFunction<void()>);
