#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Containers/UnrealString.h"
struct FTCHARToUTF8 { FTCHARToUTF8(const TCHAR*, int32); const ANSICHAR* Get() const; int32 Length() const; };
struct FUTF8ToTCHAR { FUTF8ToTCHAR(const ANSICHAR*, int32); const TCHAR* Get() const; int32 Length() const; };
