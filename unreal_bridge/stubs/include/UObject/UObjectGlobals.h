#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Class.h"
bool IsAsyncLoading();
int32 GetNumAsyncPackages();
template <typename T> UClass* LoadClass(UObject*, const TCHAR*);
