#include "TmvLog.h"

#include "Modules/ModuleManager.h"

DEFINE_LOG_CATEGORY(LogTmvBridge);

IMPLEMENT_MODULE(FDefaultModuleImpl, TorchMultiverseBridge)
