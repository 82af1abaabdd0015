#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
enum class ESPMode : uint8 { NotThreadSafe = 0, ThreadSafe = 1 };
template <typename T, ESPMode M = ESPMode::ThreadSafe> class TSharedPtr;
template <typename T, ESPMode M = ESPMode::ThreadSafe> class TSharedRef {
 public:
  explicit TSharedRef(T*);
  template <typename U, typename = std::enable_if_t<std::is_convertible<U*, T*>::value>> TSharedRef(const TSharedRef<U, M>&) {}
  T* operator->() const;
  T& operator*() const;
  T& Get() const;
};
template <typename T, ESPMode M> class TSharedPtr {
 public:
  TSharedPtr(std::nullptr_t = nullptr);
  template <typename U, typename = std::enable_if_t<std::is_convertible<U*, T*>::value>> TSharedPtr(const TSharedRef<U, M>&) {}
  template <typename U, typename = std::enable_if_t<std::is_convertible<U*, T*>::value>> TSharedPtr(const TSharedPtr<U, M>&) {}
  bool IsValid() const;
  explicit operator bool() const;
  T* Get() const;
  T* operator->() const;
  T& operator*() const;
  void Reset();
};
template <typename T, ESPMode M = ESPMode::ThreadSafe> class TWeakPtr {
 public:
  TWeakPtr(std::nullptr_t = nullptr);
  TWeakPtr(const TSharedPtr<T, M>&);
  bool IsValid() const;
  TSharedPtr<T, M> Pin() const;
};
template <typename T, ESPMode M = ESPMode::ThreadSafe> class TSharedFromThis {
 public:
  TSharedRef<T, M> AsShared();
};
template <typename T, ESPMode M = ESPMode::ThreadSafe, typename... A> TSharedRef<T, M> MakeShared(A&&... Args) { (void)sizeof(T(std::forward<A>(Args)...)); return TSharedRef<T, M>(static_cast<T*>(nullptr)); }
