#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Class.h"
class FScriptDelegate { public: void BindUFunction(UObject*, const FName&); };
class FMulticastDelegateProperty { public: virtual void AddDelegate(FScriptDelegate, UObject* = nullptr, void* = nullptr) const = 0; };
template <typename T> T* FindFProperty(const UStruct*, const TCHAR*);
