#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Containers/Array.h"
class FString {
 public:
  FString();
  FString(const TCHAR*);
  FString(int32, const TCHAR*);
  const TCHAR* operator*() const;
  int32 Len() const;
  bool IsEmpty() const;
  void Reset(int32 = 0);
  int32 ParseIntoArray(TArray<FString>&, const TCHAR*, bool = true) const;
  static FString FromInt(int32);
  template <typename... A> static FString Printf(const TCHAR*, A...) {
    static_assert((... && (std::is_arithmetic<A>::value || std::is_pointer<A>::value || std::is_enum<A>::value)),
                  "an argument of Printf is no number and no pointer");
    return FString();
  }
  const TCHAR* begin() const;
  const TCHAR* end() const;
};
bool operator==(const FString&, const FString&);
bool operator==(const FString&, const TCHAR*);
bool operator!=(const FString&, const FString&);
bool operator!=(const FString&, const TCHAR*);
bool operator<(const FString&, const FString&);
FString operator+(const FString&, const FString&);
FString operator+(const FString&, const TCHAR*);
struct FChar { static bool IsAlnum(TCHAR); };
struct FCString { static int32 Atoi(const TCHAR*); };
